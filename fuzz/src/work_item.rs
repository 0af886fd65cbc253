//! What an agent does with a message before it runs anything: decoding, reading the document, binding, planning.

use std::collections::BTreeMap;

use muster_document::{Document, DocumentType, Format, check_parameters};
use muster_proto::agent::v1::{Cancel, WorkItem};
use prost::Message as _;

use crate::document::plan_it;

/// Takes a payload of `muster.v1.dn.<node>.work`.
pub fn run(bytes: &[u8]) {
    let _ = Cancel::decode(bytes);
    let Ok(work) = WorkItem::decode(bytes) else { return };
    let again = WorkItem::decode(work.encode_to_vec().as_slice());
    assert_eq!(again.as_ref(), Ok(&work));
    let shown = format!("{work:?}");
    assert!(work.document_content.len() < 64 || !shown.contains(&work.document_content));
    let Ok(format) = work.document_format.parse::<Format>() else {
        return;
    };
    let Ok(document) = Document::parse(&work.document_content, format, DocumentType::Command) else {
        return;
    };
    let given: BTreeMap<String, Vec<String>> = work
        .parameters
        .iter()
        .map(|(name, values)| (name.clone(), values.items.clone()))
        .collect();
    match check_parameters(&document, &given) {
        Ok(parameters) => plan_it(&document, &parameters),
        // A value is in no error, however short; a name may be.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
