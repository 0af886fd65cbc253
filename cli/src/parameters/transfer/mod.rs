//! `muster parameters export` and `import`: parameters as JSON, by the names of the public API.

mod export;
mod import;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) use export::export;
pub(super) use import::import;

/// What a file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct File {
    parameters: Vec<Entry>,
}

/// A parameter in its latest version. An export says everything, also what is empty; of what a file does not say, an import
/// leaves what is there.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    name: String,
    r#type: String,
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allowed_pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_type: Option<String>,
    /// The array, as a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policies: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
    /// Those of this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<String>>,
}

/// Without the value.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({})", self.name)
    }
}
