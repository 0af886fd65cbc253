//! The section `[service]` of the settings.

use serde::Deserialize;

/// Settings of run-command; `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Commands are deleted this many days after they were accepted.
    pub retention_days: u32,
    /// Most invocations that one command may have.
    pub max_targets: u32,
    /// What the URLs of complete outputs begin with; empty: they are not shown.
    pub objects_url: String,
}
