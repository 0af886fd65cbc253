//! The documents that come with Muster (documents.md 10), as this release has them.

use muster_document::{DocumentType, Format};

use crate::domain::draft::Draft;
use crate::error::DocumentError;

/// A document that comes with Muster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuiltIn {
    pub(crate) name: &'static str,
    pub(crate) document_type: DocumentType,
    body: &'static str,
}

macro_rules! commands {
    ($($name:literal,)+) => {
        &[$(BuiltIn {
            name: $name,
            document_type: DocumentType::Command,
            body: include_str!(concat!("../../builtin/", $name, ".json")),
        },)+]
    };
}

/// All of them, in the order of their names.
pub(crate) const ALL: &[BuiltIn] = commands![
    "AWS-Noop",
    "AWS-RunAnsiblePlaybook",
    "AWS-RunPowerShellScript",
    "AWS-RunSaltState",
    "AWS-RunShellScript",
    "Muster-CheckDiskSpace",
    "Muster-ManagePackages",
    "Muster-ManageService",
    "Muster-NodeReport",
    "Muster-ReadJournal",
];

impl BuiltIn {
    /// Its content, held to the same rules as everybody's.
    pub(crate) fn draft(&self) -> Result<Draft, DocumentError> {
        Draft::read(self.body.to_owned(), Format::Json, self.document_type)
    }
}
