//! `DocumentTags`: what fleet's `Tags` forwards.

use futures::future::BoxFuture;
use muster_boot::{ResourceTags, TagMap};
use muster_model::Account;
use muster_proto::aws::v1::{
    AddTagsToResourceRequest, AddTagsToResourceResult, ListTagsForResourceRequest, ListTagsForResourceResult,
    RemoveTagsFromResourceRequest, RemoveTagsFromResourceResult, ResourceTypeForTagging,
};
use muster_proto::documents::v1::document_tags_server::DocumentTags;
use muster_store::Db;
use muster_wire::Failure;
use tonic::{Request, Response, Status};

use super::{settle, view};
use crate::domain::version::Selector;
use crate::domain::{name, tag};
use crate::error::{DocumentError, from_store};
use crate::store::{self, read};

/// Keeps the tags of documents.
#[derive(Debug)]
pub(crate) struct TagsApi {
    db: Db,
    account: Account,
}

impl TagsApi {
    pub(crate) fn new(db: Db, account: Account) -> Self {
        Self { db, account }
    }

    async fn listed(&self, request: ListTagsForResourceRequest) -> Result<ListTagsForResourceResult, Failure> {
        let name = self.document(request.resource_type(), request.resource_id.as_deref())?;
        let pointer = read::pointer(&self.db, name, &Selector::new(None, None)).await;
        let pointer = pointer.map_err(from_store)?.map_err(as_resource)?;
        let tags = read::tags(&self.db, &pointer.document_id).await.map_err(from_store)?;
        Ok(ListTagsForResourceResult {
            tag_list: view::tags(tags),
        })
    }

    async fn added(&self, request: AddTagsToResourceRequest) -> Result<AddTagsToResourceResult, Failure> {
        let name = self.document(request.resource_type(), request.resource_id.as_deref())?;
        let tags = tag::given(request.tags.iter().map(view::pair))?;
        settle(store::tag::add(&self.db, name, &tags).await)?;
        Ok(AddTagsToResourceResult {})
    }

    async fn removed(&self, request: RemoveTagsFromResourceRequest) -> Result<RemoveTagsFromResourceResult, Failure> {
        let name = self.document(request.resource_type(), request.resource_id.as_deref())?;
        settle(store::tag::remove(&self.db, name, &request.tag_keys).await)?;
        Ok(RemoveTagsFromResourceResult {})
    }

    /// The document that a request names, plainly or by its ARN.
    fn document<'a>(&self, kind: ResourceTypeForTagging, id: Option<&'a str>) -> Result<&'a str, DocumentError> {
        if kind != ResourceTypeForTagging::Document {
            return Err(DocumentError::ResourceType);
        }
        let id = id.unwrap_or_default();
        // The contract gives resource ids no shape, and PostgreSQL takes no NUL.
        match id.contains('\0') {
            true => Err(DocumentError::MissingResource { id: String::new() }),
            false => name::asked(id, &self.account).map_err(as_resource),
        }
    }
}

/// What decisions on documents ask for.
impl ResourceTags for TagsApi {
    fn tags<'a>(&'a self, kind: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<TagMap>, Failure>> {
        Box::pin(async move {
            if kind != "document" {
                return Ok(None);
            }
            let pointer = read::pointer(&self.db, name, &Selector::new(None, None)).await;
            match pointer.map_err(from_store)? {
                Ok(pointer) => {
                    let tags = read::tags(&self.db, &pointer.document_id).await;
                    tags.map(Some).map_err(from_store)
                }
                // What is not there has no tags.
                Err(_) => Ok(Some(TagMap::new())),
            }
        })
    }
}

/// A document that does not exist, in the words of tag operations.
fn as_resource(error: DocumentError) -> DocumentError {
    match error {
        DocumentError::Missing { name } => DocumentError::MissingResource { id: name },
        other => other,
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
