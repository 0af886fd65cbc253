//! `Tags`: tags of nodes are kept here, those of documents and parameters by the services that own these. The other kinds
//! of resources answer `UnsupportedOperationException` until the service that owns them is there.

use async_nats::Client;
use muster_model::NodeId;
use muster_proto::Word;
use muster_proto::agent::v1::ConfigChanged;
use muster_proto::aws::v1::{
    AddTagsToResourceRequest, AddTagsToResourceResult, ListTagsForResourceRequest, ListTagsForResourceResult, Reason,
    RemoveTagsFromResourceRequest, RemoveTagsFromResourceResult, ResourceTypeForTagging, Tag,
};
use muster_proto::documents::v1::document_tags_client::DocumentTagsClient;
use muster_proto::fleet::v1::tags_server::Tags;
use muster_proto::parameterstore::v1::parameter_tags_client::ParameterTagsClient;
use muster_store::Db;
use muster_wire::{Failure, NatsChannel, Refusal, subject};
use prost::Message;
use tonic::{Request, Response, Status};

use crate::domain::tag::{fits, node, wanted};
use crate::error::from_store;
use crate::store::tag::{self, Change};

/// Tags of everything that has tags by now.
#[derive(Debug)]
pub(crate) struct TagsApi {
    db: Db,
    nats: Client,
    tag_i_nodes: bool,
}

/// Who keeps the tags of a resource.
enum Keeper {
    Us(NodeId),
    Documents,
    Parameters,
}

impl TagsApi {
    pub(crate) fn new(db: Db, nats: Client, tag_i_nodes: bool) -> Self {
        Self { db, nats, tag_i_nodes }
    }

    fn keeper(&self, kind: ResourceTypeForTagging, id: &str) -> Result<Keeper, Refusal> {
        match kind {
            ResourceTypeForTagging::ManagedInstance => Ok(Keeper::Us(node(id, self.tag_i_nodes)?)),
            ResourceTypeForTagging::Document => Ok(Keeper::Documents),
            ResourceTypeForTagging::Parameter => Ok(Keeper::Parameters),
            // Out of scope: there are no such resources, so none has this id.
            ResourceTypeForTagging::OpsItem
            | ResourceTypeForTagging::OpsMetadata
            | ResourceTypeForTagging::CloudConnector => Err(no_such(kind, id)),
            other => Err(Refusal::new(
                Reason::UnsupportedOperationException,
                format!("tags of resource type {} are not supported yet", other.word()),
            )),
        }
    }

    fn documents(&self) -> DocumentTagsClient<NatsChannel> {
        DocumentTagsClient::new(NatsChannel::new(self.nats.clone()))
    }

    fn parameters(&self) -> ParameterTagsClient<NatsChannel> {
        ParameterTagsClient::new(NatsChannel::new(self.nats.clone()))
    }

    async fn add(&self, request: AddTagsToResourceRequest) -> Result<AddTagsToResourceResult, Failure> {
        let (kind, id) = (request.resource_type(), request.resource_id.clone().unwrap_or_default());
        match self.keeper(kind, &id)? {
            Keeper::Documents => Ok(self.documents().add(request).await?.into_inner()),
            Keeper::Parameters => Ok(self.parameters().add(request).await?.into_inner()),
            Keeper::Us(node) => {
                let tags = wanted(request.tags)?;
                let change = tag::add(&self.db, node.as_str(), &tags).await.map_err(from_store)?;
                self.conclude(&node, change).await?;
                Ok(AddTagsToResourceResult {})
            }
        }
    }

    async fn remove(&self, request: RemoveTagsFromResourceRequest) -> Result<RemoveTagsFromResourceResult, Failure> {
        let (kind, id) = (request.resource_type(), request.resource_id.clone().unwrap_or_default());
        match self.keeper(kind, &id)? {
            Keeper::Documents => Ok(self.documents().remove(request).await?.into_inner()),
            Keeper::Parameters => Ok(self.parameters().remove(request).await?.into_inner()),
            Keeper::Us(node) => {
                let change = tag::remove(&self.db, node.as_str(), &request.tag_keys)
                    .await
                    .map_err(from_store)?;
                self.conclude(&node, change).await?;
                Ok(RemoveTagsFromResourceResult {})
            }
        }
    }

    async fn list(&self, request: ListTagsForResourceRequest) -> Result<ListTagsForResourceResult, Failure> {
        let (kind, id) = (request.resource_type(), request.resource_id.clone().unwrap_or_default());
        match self.keeper(kind, &id)? {
            Keeper::Documents => Ok(self.documents().list(request).await?.into_inner()),
            Keeper::Parameters => Ok(self.parameters().list(request).await?.into_inner()),
            Keeper::Us(node) => {
                let tags = tag::of_node(&self.db, node.as_str()).await.map_err(from_store)?;
                let tag_list = tags
                    .ok_or_else(|| no_such(kind, &id))?
                    .into_iter()
                    .map(|(key, value)| Tag {
                        key: Some(key),
                        value: Some(value),
                    })
                    .collect();
                Ok(ListTagsForResourceResult { tag_list })
            }
        }
    }

    async fn conclude(&self, node: &NodeId, change: Change) -> Result<(), Refusal> {
        match change {
            Change::Made => {
                self.tell(node).await;
                Ok(())
            }
            Change::Idle => Ok(()),
            Change::Stranger => Err(no_such(ResourceTypeForTagging::ManagedInstance, node.as_str())),
            Change::TooMany(tags) => fits(tags),
        }
    }

    /// Tells the agent, which says hello again and listens to the doorbells of its new tags.
    async fn tell(&self, node: &NodeId) {
        let told = self
            .nats
            .publish(subject::config(node), ConfigChanged {}.encode_to_vec().into())
            .await;
        if let Err(error) = told {
            // It learns of it at its next hello.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a node was not told of its new tags"
            );
        }
    }
}

fn no_such(kind: ResourceTypeForTagging, id: &str) -> Refusal {
    Refusal::new(Reason::InvalidResourceId, format!("there is no {} {id}", kind.word()))
}

#[tonic::async_trait]
impl Tags for TagsApi {
    async fn add_tags_to_resource(
        &self,
        request: Request<AddTagsToResourceRequest>,
    ) -> Result<Response<AddTagsToResourceResult>, Status> {
        Ok(Response::new(self.add(request.into_inner()).await?))
    }

    async fn remove_tags_from_resource(
        &self,
        request: Request<RemoveTagsFromResourceRequest>,
    ) -> Result<Response<RemoveTagsFromResourceResult>, Status> {
        Ok(Response::new(self.remove(request.into_inner()).await?))
    }

    async fn list_tags_for_resource(
        &self,
        request: Request<ListTagsForResourceRequest>,
    ) -> Result<Response<ListTagsForResourceResult>, Status> {
        Ok(Response::new(self.list(request.into_inner()).await?))
    }
}
