//! `GetDocument` and `DescribeDocument` (documents 8).

use std::sync::Arc;

use muster_document::{Format, FormatError, convert};
use muster_proto::Word;
use muster_proto::documents::v1::{
    DescribeDocumentRequest, DescribeDocumentResult, DocumentFormat, DocumentStatus, GetDocumentRequest,
    GetDocumentResult,
};
use muster_wire::Failure;

use super::{DocumentsApi, settle, view};
use crate::domain::name;
use crate::domain::version::Selector;
use crate::error::{DocumentError, from_store};
use crate::store::read::{self, Pointer};
use crate::store::row::VersionRow;

impl DocumentsApi {
    /// Asked for every command that is sent.
    pub(crate) async fn get(&self, request: GetDocumentRequest) -> Result<GetDocumentResult, Failure> {
        let wanted = request.document_format();
        let selector = Selector::new(request.document_version.as_deref(), request.version_name);
        let given = request.name.as_deref().unwrap_or_default();
        let asked = name::asked(given, &self.account)?;
        let meant = settle(read::meant(&self.db, asked, &selector).await)?;
        let stored = self.stored(asked, &selector, meant.pointer).await?;
        let mut answer = match wanted == DocumentFormat::Unset || wanted == stored.document_format() {
            true => GetDocumentResult::clone(&stored),
            false => converted(&stored, wanted)?,
        };
        answer.review_status = meant.standing.map(|standing| view::review_status(standing).into());
        Ok(answer)
    }

    pub(super) async fn describe(&self, request: DescribeDocumentRequest) -> Result<DescribeDocumentResult, Failure> {
        let selector = Selector::new(request.document_version.as_deref(), request.version_name);
        let row = self
            .find(request.name.as_deref().unwrap_or_default(), &selector)
            .await?;
        let tags = read::tags(&self.db, &row.document_id).await.map_err(from_store)?;
        let mut document = view::description(&row, tags, &self.account).map_err(from_store)?;
        self.add_reviews(&row, &mut document).await?;
        Ok(DescribeDocumentResult {
            document: Some(document),
        })
    }

    /// The version that is meant.
    pub(super) async fn find(&self, given: &str, selector: &Selector) -> Result<VersionRow, Failure> {
        let asked = name::asked(given, &self.account)?;
        settle(read::find(&self.db, asked, selector).await)
    }

    /// The content of a version as it is stored, and what never changes about it.
    async fn stored(
        &self,
        asked: &str,
        selector: &Selector,
        pointer: Pointer,
    ) -> Result<Arc<GetDocumentResult>, Failure> {
        if let Some(answer) = self.contents.get(&pointer) {
            return Ok(answer);
        }
        let row = read::version(&self.db, &pointer).await.map_err(from_store)?;
        let content = read::content(&self.db, &pointer).await.map_err(from_store)?;
        // Not there any more: it was deleted since the pointer was read.
        let (Some(row), Some(content)) = (row, content) else {
            let (name, version) = (asked.to_owned(), selector.to_string());
            return Err(DocumentError::MissingVersion { name, version }.into());
        };
        let answer = view::content(&row, content, &self.settings.files_place()).map_err(from_store)?;
        let answer = Arc::new(answer);
        // All other answers are right for ever.
        if answer.status() != DocumentStatus::Creating {
            self.contents.put(pointer, Arc::clone(&answer));
        }
        Ok(answer)
    }
}

/// The same document in another format.
fn converted(answer: &GetDocumentResult, wanted: DocumentFormat) -> Result<GetDocumentResult, Failure> {
    let format = |given: DocumentFormat| given.word().parse::<Format>().map_err(Failure::internal);
    let (from, to) = (format(answer.document_format())?, format(wanted)?);
    let content = convert(answer.content.as_deref().unwrap_or_default(), from, to);
    let content = content.map_err(|error| match error {
        FormatError::NoConversion { from, to } => DocumentError::NoConversion { from, to }.into(),
        // It was well-formed when it was stored.
        FormatError::NotWellFormed { .. } => Failure::internal(error),
    })?;
    let mut answer = GetDocumentResult {
        content: Some(content),
        ..answer.clone()
    };
    answer.set_document_format(wanted);
    Ok(answer)
}
