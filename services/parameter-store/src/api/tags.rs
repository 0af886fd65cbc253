//! `ParameterTags`: what fleet's `Tags` forwards.

use std::sync::Arc;

use futures::future::BoxFuture;
use muster_boot::{ResourceTags, TagMap};
use muster_model::Clock;
use muster_proto::aws::v1::{
    AddTagsToResourceRequest, AddTagsToResourceResult, ListTagsForResourceRequest, ListTagsForResourceResult,
    RemoveTagsFromResourceRequest, RemoveTagsFromResourceResult, ResourceTypeForTagging, Tag,
};
use muster_proto::parameterstore::v1::parameter_tags_server::ParameterTags;
use muster_store::Db;
use muster_wire::Failure;
use tonic::{Request, Response, Status};

use super::settle;
use crate::domain::name::Name;
use crate::domain::scope::Scope;
use crate::domain::tag;
use crate::error::{ParameterError, from_store};
use crate::store;

/// Keeps the tags of parameters.
#[derive(Debug)]
pub(crate) struct TagsApi {
    db: Db,
    scope: Scope,
    clock: Arc<dyn Clock>,
}

impl TagsApi {
    pub(crate) fn new(db: Db, scope: Scope, clock: Arc<dyn Clock>) -> Self {
        Self { db, scope, clock }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    async fn listed(&self, request: ListTagsForResourceRequest) -> Result<ListTagsForResourceResult, Failure> {
        let name = self.name(request.resource_type(), request.resource_id.as_deref())?;
        let tags = settle(store::tag::of(&self.db, &name, self.now())).await?;
        let tag = |(key, value)| Tag {
            key: Some(key),
            value: Some(value),
        };
        Ok(ListTagsForResourceResult {
            tag_list: tags.into_iter().map(tag).collect(),
        })
    }

    async fn added(&self, request: AddTagsToResourceRequest) -> Result<AddTagsToResourceResult, Failure> {
        let name = self.name(request.resource_type(), request.resource_id.as_deref())?;
        let pair = |tag: Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
        let tags = tag::given(request.tags.into_iter().map(pair));
        tag::check_keys(&tags)?;
        settle(store::tag::add(&self.db, &name, &tags, self.now())).await?;
        Ok(AddTagsToResourceResult {})
    }

    async fn removed(&self, request: RemoveTagsFromResourceRequest) -> Result<RemoveTagsFromResourceResult, Failure> {
        let name = self.name(request.resource_type(), request.resource_id.as_deref())?;
        settle(store::tag::remove(&self.db, &name, &request.tag_keys, self.now())).await?;
        Ok(RemoveTagsFromResourceResult {})
    }

    /// The parameter that a request names; what is no name is none of a parameter.
    fn name(&self, kind: ResourceTypeForTagging, id: Option<&str>) -> Result<Name, ParameterError> {
        if kind != ResourceTypeForTagging::Parameter {
            return Err(ParameterError::ResourceType);
        }
        let id = id.unwrap_or_default();
        Name::parse(id, &self.scope).map_err(|_| ParameterError::MissingResource { id: id.to_owned() })
    }
}

/// What decisions on parameters ask for.
impl ResourceTags for TagsApi {
    fn tags<'a>(&'a self, kind: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<TagMap>, Failure>> {
        Box::pin(async move {
            if kind != "parameter" {
                return Ok(None);
            }
            let path = format!("/{}", name.trim_start_matches('/'));
            let Ok(name) = Name::parse(&path, &self.scope) else {
                return Ok(Some(TagMap::new()));
            };
            let tags = store::tag::of(&self.db, &name, self.now()).await.map_err(from_store)?;
            // What is not there has no tags.
            Ok(Some(tags.unwrap_or_default()))
        })
    }
}

#[tonic::async_trait]
impl ParameterTags for TagsApi {
    async fn add(
        &self,
        request: Request<AddTagsToResourceRequest>,
    ) -> Result<Response<AddTagsToResourceResult>, Status> {
        Ok(Response::new(self.added(request.into_inner()).await?))
    }

    async fn remove(
        &self,
        request: Request<RemoveTagsFromResourceRequest>,
    ) -> Result<Response<RemoveTagsFromResourceResult>, Status> {
        Ok(Response::new(self.removed(request.into_inner()).await?))
    }

    async fn list(
        &self,
        request: Request<ListTagsForResourceRequest>,
    ) -> Result<Response<ListTagsForResourceResult>, Status> {
        Ok(Response::new(self.listed(request.into_inner()).await?))
    }
}
