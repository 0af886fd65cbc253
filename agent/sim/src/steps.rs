//! The steps that a simulated run reports: those of the work item's document.

use std::collections::BTreeMap;

use muster_document::{Document, DocumentType, Platform, check_parameters, plan};
use muster_proto::agent::v1::WorkItem;

/// A step's name and action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) action: String,
}

/// The steps, or why there are none.
pub(crate) fn steps(work: &WorkItem) -> Result<Vec<Step>, String> {
    let format = work
        .document_format
        .parse()
        .map_err(|_| "the document has an unknown format".to_owned())?;
    let document = Document::parse(&work.document_content, format, DocumentType::Command)
        .map_err(|findings| format!("invalid document: {findings}"))?;
    let given: BTreeMap<String, Vec<String>> = work
        .parameters
        .iter()
        .map(|(name, values)| (name.clone(), values.items.clone()))
        .collect();
    let parameters = check_parameters(&document, &given).map_err(|error| error.to_string())?;
    let plan = plan(&document, &parameters, Platform::Linux).map_err(|error| error.to_string())?;
    Ok(plan
        .steps()
        .iter()
        .map(|step| Step {
            name: step.name().to_owned(),
            action: step.action().name().to_owned(),
        })
        .collect())
}
