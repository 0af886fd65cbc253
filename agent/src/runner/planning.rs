//! From a work item to a plan: the document is read, the parameters are put in, the owner's policy is asked.

use std::collections::BTreeMap;

use muster_document::{Document, DocumentType, Format, Plan, Platform};
use muster_proto::agent::v1::WorkItem;

use crate::policy::Policy;

/// What this machine counts as.
pub(super) const PLATFORM: Platform = if cfg!(target_os = "macos") {
    Platform::MacOs
} else {
    Platform::Linux
};

/// What to run, if the owner of the machine permits it.
pub(super) fn permitted_plan(work: &WorkItem, policy: &Policy) -> Result<Plan, String> {
    policy
        .check_document(&work.document_name, &work.document_content)
        .map_err(|forbidden| forbidden.to_string())?;
    let plan = plan(work)?;
    policy.check_plan(&plan).map_err(|forbidden| forbidden.to_string())?;
    Ok(plan)
}

/// A document's text.
pub(crate) struct Text {
    pub(crate) content: String,
    pub(crate) format: Format,
}

/// Reads the document and puts the parameters in; what is wrong becomes the run's trace.
pub(super) fn plan(work: &WorkItem) -> Result<Plan, String> {
    let format: Format = work
        .document_format
        .parse()
        .map_err(|_| "the document has an unknown format".to_owned())?;
    let given: BTreeMap<String, Vec<String>> = work
        .parameters
        .iter()
        .map(|(name, values)| (name.clone(), values.items.clone()))
        .collect();
    let text = Text {
        content: work.document_content.clone(),
        format,
    };
    plan_of(&text, &given)
}

/// As `plan`, for any document and the parameters given for it.
pub(crate) fn plan_of(text: &Text, given: &BTreeMap<String, Vec<String>>) -> Result<Plan, String> {
    let document = Document::parse(&text.content, text.format, DocumentType::Command)
        .map_err(|findings| format!("invalid document: {findings}"))?;
    let parameters =
        muster_document::check_parameters(&document, given).map_err(|error| format!("invalid parameters: {error}"))?;
    let plan = muster_document::plan(&document, &parameters, PLATFORM).map_err(|error| error.to_string())?;
    let references = plan.references();
    if references.is_empty() {
        Ok(plan)
    } else {
        Err(format!(
            "Parameter Store is not there yet; the document refers to {}",
            references.join(", ")
        ))
    }
}
