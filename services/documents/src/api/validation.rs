//! `DocumentValidation`: judging a content without storing it (documents 9).

use muster_document::{
    Document, DocumentType, Finding, Findings, Format, MAX_BYTES, Severity, finding, platform_types,
};
use muster_proto::Word;
use muster_proto::aws::v1::{PlatformType, Reason};
use muster_proto::documents::v1::document_validation_server::DocumentValidation;
use muster_proto::documents::v1::{
    DocumentFinding, DocumentFindingSeverity, ValidateDocumentRequest, ValidateDocumentResult,
};
use tonic::{Request, Response, Status};

use super::change::{parse_format, parse_type};
use super::view;
use crate::domain::draft::Facts;
use crate::error::DocumentError;

/// Judges documents. It keeps nothing.
#[derive(Debug)]
pub(crate) struct ValidationApi;

#[tonic::async_trait]
impl DocumentValidation for ValidationApi {
    async fn validate(
        &self,
        request: Request<ValidateDocumentRequest>,
    ) -> Result<Response<ValidateDocumentResult>, Status> {
        let request = request.into_inner();
        let document_type = match request.document_type() {
            muster_proto::documents::v1::DocumentType::Unset => DocumentType::Command,
            given => parse_type(given.word())?,
        };
        let format = parse_format(request.document_format.map(|_| request.document_format()));
        let content = request.content.unwrap_or_default();
        Ok(Response::new(judge(&content, format, document_type)))
    }
}

fn judge(content: &str, format: Format, document_type: DocumentType) -> ValidateDocumentResult {
    if content.contains('\0') && content.len() <= MAX_BYTES {
        let finding = Finding {
            severity: Severity::Error,
            path: String::new(),
            message: "the content has a NUL character".to_owned(),
        };
        return refused(vec![finding], Reason::InvalidDocumentContent);
    }
    match Document::parse(content, format, document_type) {
        Ok(document) => {
            let platforms = platform_types(&document);
            let words = platforms
                .iter()
                .filter_map(|platform| PlatformType::from_word(platform.as_str()));
            ValidateDocumentResult {
                acceptable: Some(true),
                findings: document.warnings().iter().map(shown).collect(),
                error: None,
                schema_version: document.schema().map(|schema| schema.as_str().to_owned()),
                platform_types: words.map(Into::into).collect(),
                parameters: view::parameters(&Facts::of(&document)),
            }
        }
        Err(findings) => refused(findings.all().to_vec(), reason(&findings)),
    }
}

fn refused(findings: Vec<Finding>, reason: Reason) -> ValidateDocumentResult {
    ValidateDocumentResult {
        acceptable: Some(false),
        findings: findings.iter().map(shown).collect(),
        error: Some(reason.word().to_owned()),
        ..ValidateDocumentResult::default()
    }
}

/// The error that `CreateDocument` answers with.
fn reason(findings: &Findings) -> Reason {
    match findings.kind() {
        finding::Kind::TooLarge => DocumentError::TooLarge { bytes: 0 }.reason(),
        finding::Kind::SchemaVersion | finding::Kind::Content => DocumentError::from(findings).reason(),
    }
}

fn shown(finding: &Finding) -> DocumentFinding {
    let severity = match finding.severity {
        Severity::Error => DocumentFindingSeverity::Error,
        Severity::Warning => DocumentFindingSeverity::Warning,
    };
    DocumentFinding {
        severity: Some(severity.into()),
        path: Some(finding.path.clone()),
        message: Some(finding.message.clone()),
    }
}
