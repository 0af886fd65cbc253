//! `DocumentTags`: what fleet's `Tags` forwards.

use muster_proto::aws::v1::{
    AddTagsToResourceRequest, AddTagsToResourceResult, ListTagsForResourceRequest, ListTagsForResourceResult,
    RemoveTagsFromResourceRequest, RemoveTagsFromResourceResult, ResourceTypeForTagging,
};
use muster_proto::documents::v1::document_tags_server::DocumentTags;
use muster_store::Db;
use muster_wire::Failure;
use tonic::{Request, Response, Status};

use super::{settle, view};
use crate::domain::tag;
use crate::domain::version::Selector;
use crate::error::{DocumentError, from_store};
use crate::store;

/// Keeps the tags of documents.
#[derive(Debug)]
pub(crate) struct TagsApi {
    db: Db,
}

impl TagsApi {
    pub(crate) fn new(db: Db) -> Self {
        Self { db }
    }

    async fn listed(&self, request: ListTagsForResourceRequest) -> Result<ListTagsForResourceResult, Failure> {
        require_document(request.resource_type())?;
        let name = request.resource_id.unwrap_or_default();
        let row = store::read::version(&self.db, &name, &Selector::new(None, None))
            .await
            .map_err(from_store)?;
        let row = row.ok_or(DocumentError::MissingResource { id: name })?;
        let tags = store::read::tags(&self.db, &row.document_id)
            .await
            .map_err(from_store)?;
        Ok(ListTagsForResourceResult {
            tag_list: view::tags(tags),
        })
    }

    async fn added(&self, request: AddTagsToResourceRequest) -> Result<AddTagsToResourceResult, Failure> {
        require_document(request.resource_type())?;
        let pairs = request.tags.iter().map(|tag| {
            (
                tag.key.clone().unwrap_or_default(),
                tag.value.clone().unwrap_or_default(),
            )
        });
        let tags = tag::given(pairs)?;
        settle(store::tag::add(&self.db, request.resource_id.as_deref().unwrap_or_default(), &tags).await)?;
        Ok(AddTagsToResourceResult {})
    }

    async fn removed(&self, request: RemoveTagsFromResourceRequest) -> Result<RemoveTagsFromResourceResult, Failure> {
        require_document(request.resource_type())?;
        let name = request.resource_id.as_deref().unwrap_or_default();
        settle(store::tag::remove(&self.db, name, &request.tag_keys).await)?;
        Ok(RemoveTagsFromResourceResult {})
    }
}

fn require_document(kind: ResourceTypeForTagging) -> Result<(), DocumentError> {
    match kind {
        ResourceTypeForTagging::Document => Ok(()),
        _ => Err(DocumentError::ResourceType),
    }
}

#[tonic::async_trait]
impl DocumentTags for TagsApi {
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
