//! What this service refuses, and how its troubles become failures of a call.

use muster_document::{Findings, Format, finding};
use muster_proto::aws::v1::Reason;
use muster_store::StoreError;
use muster_wire::{Failure, Refusal};

/// Bytes of findings in one answer: it travels on the bus about five times over, in headers, and must fit a message.
const FINDINGS_BYTES: usize = 100 * 1024;

/// A request that cannot be; the text is for the caller (documents.md 8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("the name {name} is reserved: names that begin with {prefix} belong to built-in documents")]
    ReservedName { name: String, prefix: &'static str },
    #[error("the specified document already exists: {name}")]
    AlreadyExists { name: String },
    #[error("the specified document does not exist: {name}")]
    Missing { name: String },
    #[error("document {name} has no version {version}")]
    MissingVersion { name: String, version: String },
    /// The same for `DeleteDocument`, which has no error word of its own for it.
    #[error("document {name} has no version {version} to delete")]
    NothingToDelete { name: String, version: String },
    /// The same for `ModifyDocumentPermission`.
    #[error("document {name} has no version {version} to share")]
    NothingToShare { name: String, version: String },
    #[error("the version {given} provided for the document is not the latest, which is {latest}")]
    NotLatest { given: String, latest: i64 },
    #[error("the content has {bytes} bytes, at most {} are allowed", muster_document::MAX_BYTES)]
    TooLarge { bytes: usize },
    #[error("{0}")]
    Content(String),
    #[error("{0}")]
    SchemaVersion(String),
    #[error("there are {limit} documents already, which is the limit")]
    TooManyDocuments { limit: u32 },
    #[error("the document has {limit} versions already, which is the limit: delete one")]
    TooManyVersions { limit: u32 },
    #[error("the content is the same as that of version {version}: change it, or make that version the default")]
    DuplicateContent { version: i64 },
    #[error("the specified version name is a duplicate: version {version} is called {name}")]
    DuplicateVersionName { name: String, version: i64 },
    #[error("{name} is a built-in document, which cannot be changed, deleted or shared")]
    BuiltIn { name: String },
    #[error("version {version} is the default version, which cannot be deleted while there are others")]
    DefaultVersion { version: i64 },
    #[error("the document is shared: take it back from all accounts before it is deleted")]
    StillShared,
    #[error("a document of type {document_type} is deleted only with Force")]
    NeedsForce { document_type: String },
    #[error("a document in {from} format cannot be shown as {to}")]
    NoConversion { from: Format, to: Format },
    #[error("{0} is no key of a filter of documents")]
    FilterKey(String),
    #[error("{0}")]
    Filter(String),
    #[error("the token is not one of this list: repeat the call without NextToken")]
    NextToken,
    #[error("a document has permissions of the type Share only")]
    PermissionType,
    #[error("the document would be shared with more than {limit} accounts")]
    TooManyShares { limit: u32 },
    #[error("{limit} documents are shared with everybody already, which is the limit")]
    TooManyPublic { limit: u32 },
    #[error("attachments: {0}")]
    Attachment(String),
    #[error("{0}")]
    Review(String),
    #[error("the tag key {key} is reserved: keys that begin with aws: are")]
    ReservedTagKey { key: String },
    #[error("a document can have {limit} tags")]
    TooManyTagsAtCreation { limit: usize },
    #[error("the document would have more than {limit} tags")]
    TooManyTags { limit: usize },
    #[error("the specified document does not exist: {id}")]
    MissingResource { id: String },
    #[error("this service keeps the tags of documents only")]
    ResourceType,
}

impl DocumentError {
    /// The word that programs match on.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::ReservedName { .. }
            | Self::NoConversion { .. }
            | Self::Filter(_)
            | Self::Attachment(_)
            | Self::ReservedTagKey { .. }
            | Self::TooManyTagsAtCreation { .. } => Reason::ValidationException,
            Self::AlreadyExists { .. } => Reason::DocumentAlreadyExists,
            Self::Missing { .. } | Self::NothingToDelete { .. } | Self::NothingToShare { .. } => {
                Reason::InvalidDocument
            }
            Self::MissingVersion { .. } | Self::NotLatest { .. } => Reason::InvalidDocumentVersion,
            Self::TooLarge { .. } => Reason::MaxDocumentSizeExceeded,
            Self::Content(_) => Reason::InvalidDocumentContent,
            Self::SchemaVersion(_) => Reason::InvalidDocumentSchemaVersion,
            Self::TooManyDocuments { .. } => Reason::DocumentLimitExceeded,
            Self::TooManyVersions { .. } => Reason::DocumentVersionLimitExceeded,
            Self::DuplicateContent { .. } => Reason::DuplicateDocumentContent,
            Self::DuplicateVersionName { .. } => Reason::DuplicateDocumentVersionName,
            Self::BuiltIn { .. }
            | Self::DefaultVersion { .. }
            | Self::StillShared
            | Self::NeedsForce { .. }
            | Self::Review(_) => Reason::InvalidDocumentOperation,
            Self::FilterKey(_) => Reason::InvalidFilterKey,
            Self::NextToken => Reason::InvalidNextToken,
            Self::PermissionType => Reason::InvalidPermissionType,
            Self::TooManyShares { .. } | Self::TooManyPublic { .. } => Reason::DocumentPermissionLimit,
            Self::TooManyTags { .. } => Reason::TooManyTagsError,
            Self::MissingResource { .. } => Reason::InvalidResourceId,
            Self::ResourceType => Reason::InvalidResourceType,
        }
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        Refusal::new(error.reason(), error.to_string()).into()
    }
}

impl From<&Findings> for DocumentError {
    /// All findings in one message, the first one first, as far as an answer can carry them.
    fn from(findings: &Findings) -> Self {
        let message = in_one(findings.errors().map(ToString::to_string));
        match findings.kind() {
            finding::Kind::SchemaVersion => Self::SchemaVersion(message),
            finding::Kind::TooLarge | finding::Kind::Content => Self::Content(message),
        }
    }
}

/// Joins texts up to a bound that leaves room for the count of those that did not fit.
pub(crate) fn in_one(texts: impl Iterator<Item = String>) -> String {
    let mut message = String::new();
    let mut left_out = 0_usize;
    for text in texts {
        let separator = if message.is_empty() { "" } else { "; " };
        if left_out == 0 && message.len() + separator.len() + text.len() <= FINDINGS_BYTES {
            message.push_str(separator);
            message.push_str(&text);
        } else if message.is_empty() {
            // Keys are the author's: one path alone may be as long as a document.
            message.push_str(&text[..text.floor_char_boundary(FINDINGS_BYTES)]);
            message.push('…');
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        message.push_str(&format!("; and {left_out} more"));
    }
    message
}

/// A store that does not answer can be tried again; everything else is our fault.
pub(crate) fn from_store(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable(cause) => {
            tracing::warn!(error = &cause as &dyn std::error::Error, "the database does not answer");
            Failure::Unavailable {
                what: "the database of documents".to_owned(),
            }
        }
        other => Failure::internal(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_an_answer_is_counted() {
        let long = "x".repeat(45 * 1024);
        let texts = [long.clone(), long.clone(), long.clone(), "short".to_owned()];
        let message = in_one(texts.into_iter());
        assert_eq!(message, format!("{long}; {long}; and 2 more"));
    }

    #[test]
    fn one_endless_finding_is_cut_between_characters() {
        let message = in_one(["é".repeat(80_000)].into_iter());
        assert!(message.ends_with("é…"));
        assert!(message.len() <= FINDINGS_BYTES + '…'.len_utf8());
    }
}
