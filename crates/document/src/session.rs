//! The body of Session documents (schema 1.0): checked for its type only, as sessions are not run from here.

use serde_json::{Map, Value};

use crate::finding::{Pointer, Report};

const SESSION_TYPES: &[&str] = &[
    "Standard_Stream",
    "InteractiveCommands",
    "NonInteractiveCommands",
    "Port",
];

/// Checks a Session document; findings go to `report`.
pub(crate) fn check(document: &Map<String, Value>, report: &mut Report) {
    let at = Pointer::root().key("sessionType");
    match document.get("sessionType") {
        Some(Value::String(word)) if SESSION_TYPES.contains(&word.as_str()) => {}
        Some(_) => report.error(&at, format!("sessionType must be one of {}", SESSION_TYPES.join(", "))),
        None => report.error(&at, "sessionType is missing"),
    }
    for key in ["inputs", "properties"] {
        if document.get(key).is_some_and(|value| !value.is_object()) {
            report.error(&Pointer::root().key(key), format!("{key} must be a map"));
        }
    }
}
