//! A content that was read and found acceptable, and what is known from it.

use muster_document::{
    AttachedFile, Document, DocumentType, Format, MAX_BYTES, Schema, content_identity, hash, platform_types,
};
use serde::{Deserialize, Serialize};

use crate::domain::attachment::Attachment;
use crate::error::{DocumentError, in_one};

/// An acceptable content on its way to become a version.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) content: String,
    pub(crate) format: Format,
    pub(crate) hash: String,
    /// Equal for contents that differ in line ends only.
    pub(crate) identity: String,
    /// The words of `PlatformTypes`, separated by commas.
    pub(crate) platforms: String,
    pub(crate) facts: Facts,
    /// The attached files that the content speaks of.
    pub(crate) files: Vec<AttachedFile>,
}

impl std::fmt::Debug for Draft {
    /// Without the content, which is nobody's business in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft")
            .field("format", &self.format)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// What a version's row says beside its columns. It is stored as JSON: members may be added, with a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) schema_version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) parameters: Vec<Declared>,
    /// What is odd about the content.
    pub(crate) remarks: Option<String>,
    /// From the request.
    pub(crate) requires: Vec<Requirement>,
    /// From the request.
    #[serde(default)]
    pub(crate) attachments: Vec<Attachment>,
}

/// A parameter as `DescribeDocument` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declared {
    pub(crate) name: String,
    /// The type's word.
    pub(crate) kind: String,
    pub(crate) description: Option<String>,
    pub(crate) default: Option<String>,
}

/// Another document that this one needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requirement {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) require_type: Option<String>,
    pub(crate) version_name: Option<String>,
}

impl Draft {
    /// Reads a content: checks 4 to 12 of documents.md 9.
    pub(crate) fn read(content: String, format: Format, document_type: DocumentType) -> Result<Self, DocumentError> {
        if content.len() > MAX_BYTES {
            return Err(DocumentError::TooLarge { bytes: content.len() });
        }
        if content.contains('\0') {
            // Legal in no script and in no JSON, and PostgreSQL cannot store it.
            return Err(DocumentError::Content("the content has a NUL character".to_owned()));
        }
        let document = Document::parse(&content, format, document_type).map_err(|f| DocumentError::from(&f))?;
        let platforms: Vec<_> = platform_types(&document).iter().map(|p| p.as_str()).collect();
        Ok(Self {
            hash: hash(&content),
            identity: content_identity(&content),
            platforms: platforms.join(","),
            facts: Facts::of(&document),
            files: document.files().to_vec(),
            format,
            content,
        })
    }

    /// Refuses a schema of which a document can have one version only.
    pub(crate) fn check_updatable(schema_version: Option<&str>) -> Result<(), DocumentError> {
        match schema_version {
            Some(version) if version == Schema::V1_2.as_str() => {
                let message = "a document of schemaVersion 1.2 cannot be updated: 2.0 and later can";
                Err(DocumentError::SchemaVersion(message.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// What `SearchKeyword` looks through.
    pub(crate) fn keywords(&self, name: &str) -> String {
        let description = self.facts.description.as_deref().unwrap_or_default();
        // A description may hold an escaped NUL, which a column cannot.
        format!("{name}\n{description}").to_lowercase().replace('\0', "")
    }
}

impl Facts {
    /// What a content says about itself.
    pub(crate) fn of(document: &Document) -> Self {
        let parameters = document.parameters().iter().map(|parameter| Declared {
            name: parameter.name().to_owned(),
            kind: parameter.kind().as_str().to_owned(),
            description: parameter.description().map(str::to_owned),
            default: parameter.default_text(),
        });
        let warnings = document.warnings();
        Self {
            // Documents that are not understood may say anything here.
            schema_version: document.schema().map(|schema| schema.as_str().to_owned()),
            description: document.description().map(str::to_owned),
            parameters: parameters.collect(),
            remarks: (!warnings.is_empty()).then(|| {
                format!(
                    "accepted with warnings: {}",
                    in_one(warnings.iter().map(ToString::to_string))
                )
            }),
            requires: Vec::new(),
            attachments: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::Reason;

    use super::*;

    const COMMAND: &str = r#"{"schemaVersion":"2.2","description":"Says Hello","parameters":{
        "list":{"type":"StringList","default":["a"]},"word":{"type":"String","description":"one"}},
        "mainSteps":[{"action":"aws:runShellScript","name":"s","inputs":{"runCommand":["echo {{ word }}"]}}]}"#;

    fn read(content: &str, format: Format, document_type: DocumentType) -> Result<Draft, DocumentError> {
        Draft::read(content.to_owned(), format, document_type)
    }

    #[test]
    fn what_a_content_says_is_found() {
        let draft = read(COMMAND, Format::Json, DocumentType::Command).unwrap();
        assert_eq!(draft.platforms, "Linux,MacOS");
        assert_eq!(draft.hash, hash(COMMAND));
        let facts = &draft.facts;
        assert_eq!(
            (facts.schema_version.as_deref(), facts.remarks.as_ref()),
            (Some("2.2"), None)
        );
        let shown: Vec<_> = facts
            .parameters
            .iter()
            .map(|p| (p.name.as_str(), p.kind.as_str(), p.default.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [("list", "StringList", Some("[\"a\"]")), ("word", "String", None)]
        );
        assert_eq!(draft.keywords("My-Doc"), "my-doc\nsays hello");
    }

    #[test]
    fn each_kind_of_bad_content_has_its_error() {
        use DocumentType::{ChangeCalendar, Command};
        let check = |content: &str, format, document_type, reason| {
            let error = read(content, format, document_type).unwrap_err();
            assert_eq!(error.reason(), reason, "{error}");
        };
        let large = "x".repeat(MAX_BYTES + 1);
        check(&large, Format::Text, ChangeCalendar, Reason::MaxDocumentSizeExceeded);
        check("{", Format::Json, Command, Reason::InvalidDocumentContent);
        check("a\0b", Format::Text, ChangeCalendar, Reason::InvalidDocumentContent);
        check(COMMAND, Format::Text, Command, Reason::InvalidDocumentContent);
        let version = r#"{"schemaVersion":"9.9","mainSteps":[]}"#;
        check(version, Format::Json, Command, Reason::InvalidDocumentSchemaVersion);
    }

    #[test]
    fn an_escaped_nul_does_not_reach_a_column() {
        let content = COMMAND.replace("Says Hello", "Says \\u0000Hello");
        let draft = read(&content, Format::Json, DocumentType::Command).unwrap();
        assert_eq!(draft.keywords("n"), "n\nsays hello");
        let facts = serde_json::to_string(&draft.facts).unwrap();
        assert!(!facts.contains('\0'));
        assert_eq!(serde_json::from_str::<Facts>(&facts).unwrap(), draft.facts);
    }

    #[test]
    fn a_mistake_that_does_not_block_is_remarked() {
        let content = COMMAND.replace("\"runCommand\"", "\"interpolationType\":\"ENV_VAR\",\"runCommand\"");
        let draft = read(&content, Format::Json, DocumentType::Command).unwrap();
        let remarks = draft.facts.remarks.unwrap();
        assert!(remarks.contains("interpolationType"), "{remarks}");
    }

    #[test]
    fn schema_1_2_has_one_version_only() {
        assert!(Draft::check_updatable(Some("1.2")).is_err());
        assert!(Draft::check_updatable(Some("2.2")).is_ok());
        assert!(Draft::check_updatable(None).is_ok());
    }
}
