//! `GetDocument` and `DescribeDocument` (documents 8).

use muster_document::{Format, convert};
use muster_proto::Word;
use muster_proto::documents::v1::{
    DescribeDocumentRequest, DescribeDocumentResult, DocumentFormat, DocumentStatus, DocumentType, GetDocumentRequest,
    GetDocumentResult,
};
use muster_wire::Failure;

use super::{DocumentsApi, view};
use crate::domain::name;
use crate::domain::version::Selector;
use crate::error::{DocumentError, from_store};
use crate::store::read;
use crate::store::row::VersionRow;

impl DocumentsApi {
    pub(super) async fn get(&self, request: GetDocumentRequest) -> Result<GetDocumentResult, Failure> {
        let wanted = request.document_format.map(|_| request.document_format());
        let selector = Selector::new(request.document_version.as_deref(), request.version_name.clone());
        let row = self
            .find(request.name.as_deref().unwrap_or_default(), &selector)
            .await?;
        let facts = row.facts().map_err(from_store)?;
        let (content, format) = shown(&row, wanted)?;
        Ok(GetDocumentResult {
            name: Some(row.name.clone()),
            created_date: Some(view::time(row.created_at)),
            display_name: row.display_name.clone(),
            version_name: row.version_name.clone(),
            document_version: Some(row.version.to_string()),
            status: Some(DocumentStatus::Active.into()),
            status_information: facts.remarks.clone(),
            content: Some(content),
            document_type: DocumentType::from_word(&row.document_type).map(Into::into),
            document_format: DocumentFormat::from_word(format.as_str()).map(Into::into),
            requires: view::requires(&facts),
            ..GetDocumentResult::default()
        })
    }

    pub(super) async fn describe(&self, request: DescribeDocumentRequest) -> Result<DescribeDocumentResult, Failure> {
        let selector = Selector::new(request.document_version.as_deref(), request.version_name.clone());
        let row = self
            .find(request.name.as_deref().unwrap_or_default(), &selector)
            .await?;
        let tags = read::tags(&self.db, &row.document_id).await.map_err(from_store)?;
        let document = view::description(&row, tags, &self.settings.account_id).map_err(from_store)?;
        Ok(DescribeDocumentResult {
            document: Some(document),
        })
    }

    /// The version that is meant.
    pub(super) async fn find(&self, given: &str, selector: &Selector) -> Result<VersionRow, Failure> {
        let asked = name::asked(given, &self.settings.account_id)?;
        if let Some(row) = read::version(&self.db, asked, selector).await.map_err(from_store)? {
            return Ok(row);
        }
        let name = asked.to_owned();
        Err(match read::exists(&self.db, asked).await.map_err(from_store)? {
            true => DocumentError::MissingVersion {
                name,
                version: selector.to_string(),
            },
            false => DocumentError::Missing { name },
        }
        .into())
    }
}

/// The content as it was stored, or in another format.
fn shown(row: &VersionRow, wanted: Option<DocumentFormat>) -> Result<(String, Format), Failure> {
    let stored: Format = row
        .format
        .parse()
        .map_err(|_| Failure::internal(format!("{} is no format", row.format)))?;
    let wanted = match wanted {
        None | Some(DocumentFormat::Unset) => stored,
        Some(DocumentFormat::Json) => Format::Json,
        Some(DocumentFormat::Yaml) => Format::Yaml,
        Some(DocumentFormat::Text) => Format::Text,
    };
    if wanted == stored {
        return Ok((row.content.clone(), stored));
    }
    match convert(&row.content, stored, wanted) {
        Ok(content) => Ok((content, wanted)),
        Err(_) => Err(DocumentError::NoConversion {
            from: stored,
            to: wanted,
        }
        .into()),
    }
}
