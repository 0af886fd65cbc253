//! The tags by which decisions are made on what fleet serves: nodes, and documents and parameters, whose tags are changed
//! here, too.

use async_nats::Client;
use futures::future::BoxFuture;
use muster_boot::{ResourceTags, TagMap};
use muster_proto::aws::v1::{ListTagsForResourceRequest, ListTagsForResourceResult, ResourceTypeForTagging};
use muster_proto::documents::v1::document_tags_client::DocumentTagsClient;
use muster_proto::parameterstore::v1::parameter_tags_client::ParameterTagsClient;
use muster_store::Db;
use muster_wire::{Failure, NatsChannel};
use tonic::{Response, Status};

use crate::error::from_store;
use crate::store::tag;

/// Knows the tags of nodes, and asks for those of documents and parameters.
#[derive(Debug)]
pub(crate) struct TagsOf {
    db: Db,
    nats: Client,
}

impl TagsOf {
    pub(crate) fn new(db: Db, nats: Client) -> Self {
        Self { db, nats }
    }

    fn bus(&self) -> NatsChannel {
        NatsChannel::new(self.nats.clone())
    }

    async fn document(&self, name: &str) -> Result<TagMap, Failure> {
        let request = asked(ResourceTypeForTagging::Document, name);
        said(DocumentTagsClient::new(self.bus()).list(request).await)
    }

    async fn parameter(&self, name: &str) -> Result<TagMap, Failure> {
        // Decisions know parameters without the slash that names in folders begin with (parameter-store 2).
        let request = asked(ResourceTypeForTagging::Parameter, &format!("/{name}"));
        said(ParameterTagsClient::new(self.bus()).list(request).await)
    }
}

fn asked(kind: ResourceTypeForTagging, name: &str) -> ListTagsForResourceRequest {
    ListTagsForResourceRequest {
        resource_type: Some(kind.into()),
        resource_id: Some(name.to_owned()),
    }
}

fn said(answer: Result<Response<ListTagsForResourceResult>, Status>) -> Result<TagMap, Failure> {
    match answer.map_err(Failure::from) {
        Ok(answer) => {
            let tags = answer.into_inner().tag_list.into_iter();
            Ok(tags
                .map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()))
                .collect())
        }
        // What is not there has no tags.
        Err(Failure::Refused(_)) => Ok(TagMap::new()),
        Err(failure) => Err(failure),
    }
}

impl ResourceTags for TagsOf {
    fn tags<'a>(&'a self, kind: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<TagMap>, Failure>> {
        Box::pin(async move {
            match kind {
                "managed-instance" => {
                    let tags = tag::of_node(&self.db, name).await.map_err(from_store)?;
                    Ok(Some(tags.unwrap_or_default()))
                }
                "document" => self.document(name).await.map(Some),
                "parameter" => self.parameter(name).await.map(Some),
                _ => Ok(None),
            }
        })
    }
}
