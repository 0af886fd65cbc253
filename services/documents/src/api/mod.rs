//! The operations: from the contract to the domain and back.

mod change;
mod contents;
mod list;
mod permission;
mod review;
mod show;
mod tags;
mod validation;
mod view;

use std::sync::Arc;

use muster_boot::Parts;
use muster_model::{Account, Clock, Timestamp};
use muster_proto::documents::v1::documents_server::Documents;
use muster_proto::documents::v1::{
    CreateDocumentRequest, CreateDocumentResult, DeleteDocumentRequest, DeleteDocumentResult,
    DescribeDocumentPermissionRequest, DescribeDocumentPermissionResponse, DescribeDocumentRequest,
    DescribeDocumentResult, GetDocumentRequest, GetDocumentResult, ListDocumentMetadataHistoryRequest,
    ListDocumentMetadataHistoryResponse, ListDocumentVersionsRequest, ListDocumentVersionsResult, ListDocumentsRequest,
    ListDocumentsResult, ModifyDocumentPermissionRequest, ModifyDocumentPermissionResponse,
    UpdateDocumentDefaultVersionRequest, UpdateDocumentDefaultVersionResult, UpdateDocumentMetadataRequest,
    UpdateDocumentMetadataResponse, UpdateDocumentRequest, UpdateDocumentResult,
};
use muster_store::{Db, Pager, StoreError};
use muster_wire::{Caller, Failure};
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

pub(crate) use tags::TagsApi;
pub(crate) use validation::ValidationApi;

use self::contents::Contents;
use crate::Settings;
use crate::error::{DocumentError, from_store};
use crate::store::write::Quotas;
use crate::work::News;

/// The operations on documents.
#[derive(Debug)]
pub(crate) struct DocumentsApi {
    settings: Settings,
    account: Account,
    db: Db,
    pager: Pager,
    clock: Arc<dyn Clock>,
    news: News,
    contents: Contents,
    /// Wakes whoever fetches files.
    fetch: Arc<Notify>,
}

impl DocumentsApi {
    pub(crate) fn new(settings: Settings, parts: &Parts, db: Db, pager: Pager, fetch: Arc<Notify>) -> Self {
        Self {
            contents: Contents::new(settings.cache_bytes),
            settings,
            account: parts.account.clone(),
            db,
            pager,
            clock: Arc::clone(&parts.clock),
            news: News::new(parts.nats.clone()),
            fetch,
        }
    }

    fn quotas(&self) -> Quotas {
        Quotas {
            documents: self.settings.max_documents,
            versions: self.settings.max_versions,
            shares: self.settings.max_shares,
            public: self.settings.max_public,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The position in a token of the list that `question` selects.
    fn position(&self, question: &str, token: Option<&str>) -> Result<Option<String>, DocumentError> {
        match token.filter(|token| !token.is_empty()) {
            None => Ok(None),
            Some(token) => match self.pager.position(question, token, self.now()) {
                Ok(position) => Ok(Some(position)),
                Err(_) => Err(DocumentError::NextToken),
            },
        }
    }

    /// Cuts what was read only to learn whether there is more, and gives the token of the next page if there is.
    fn cut<T>(
        &self,
        question: &str,
        rows: &mut Vec<T>,
        size: i32,
        position: impl FnOnce(&T) -> String,
    ) -> Option<String> {
        let size = usize::try_from(size).unwrap_or_default();
        let more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| more)?;
        Some(self.pager.token(question, &position(last), self.now()))
    }
}

/// What the store said, and what the domain said, as one.
fn settle<T>(outcome: Result<Result<T, DocumentError>, StoreError>) -> Result<T, Failure> {
    Ok(outcome.map_err(from_store)??)
}

#[tonic::async_trait]
impl Documents for DocumentsApi {
    async fn create_document(
        &self,
        request: Request<CreateDocumentRequest>,
    ) -> Result<Response<CreateDocumentResult>, Status> {
        Ok(Response::new(self.create(request.into_inner()).await?))
    }

    async fn update_document(
        &self,
        request: Request<UpdateDocumentRequest>,
    ) -> Result<Response<UpdateDocumentResult>, Status> {
        Ok(Response::new(self.update(request.into_inner()).await?))
    }

    async fn update_document_default_version(
        &self,
        request: Request<UpdateDocumentDefaultVersionRequest>,
    ) -> Result<Response<UpdateDocumentDefaultVersionResult>, Status> {
        Ok(Response::new(self.move_default(request.into_inner()).await?))
    }

    async fn delete_document(
        &self,
        request: Request<DeleteDocumentRequest>,
    ) -> Result<Response<DeleteDocumentResult>, Status> {
        Ok(Response::new(self.delete(request.into_inner()).await?))
    }

    async fn get_document(&self, request: Request<GetDocumentRequest>) -> Result<Response<GetDocumentResult>, Status> {
        Ok(Response::new(self.get(request.into_inner()).await?))
    }

    async fn describe_document(
        &self,
        request: Request<DescribeDocumentRequest>,
    ) -> Result<Response<DescribeDocumentResult>, Status> {
        Ok(Response::new(self.describe(request.into_inner()).await?))
    }

    async fn list_documents(
        &self,
        request: Request<ListDocumentsRequest>,
    ) -> Result<Response<ListDocumentsResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(self.list(request.into_inner(), &asker).await?))
    }

    async fn list_document_versions(
        &self,
        request: Request<ListDocumentVersionsRequest>,
    ) -> Result<Response<ListDocumentVersionsResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(self.list_versions(request.into_inner(), &asker).await?))
    }

    async fn describe_document_permission(
        &self,
        request: Request<DescribeDocumentPermissionRequest>,
    ) -> Result<Response<DescribeDocumentPermissionResponse>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(
            self.describe_permission(request.into_inner(), &asker).await?,
        ))
    }

    async fn modify_document_permission(
        &self,
        request: Request<ModifyDocumentPermissionRequest>,
    ) -> Result<Response<ModifyDocumentPermissionResponse>, Status> {
        Ok(Response::new(self.modify_permission(request.into_inner()).await?))
    }

    async fn update_document_metadata(
        &self,
        request: Request<UpdateDocumentMetadataRequest>,
    ) -> Result<Response<UpdateDocumentMetadataResponse>, Status> {
        Ok(Response::new(self.update_metadata(request.into_inner()).await?))
    }

    async fn list_document_metadata_history(
        &self,
        request: Request<ListDocumentMetadataHistoryRequest>,
    ) -> Result<Response<ListDocumentMetadataHistoryResponse>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(
            self.metadata_history(request.into_inner(), &asker).await?,
        ))
    }
}
