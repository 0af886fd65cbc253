//! The section `[service]` of the settings.

use serde::Deserialize;

/// Settings of fleet; `config.default.toml` explains each key.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seconds between two heartbeats of a node.
    pub heartbeat_seconds: u32,
    /// A node that was not heard of for this many seconds is `ConnectionLost`.
    pub connection_lost_seconds: u32,
    /// Seconds between two times that heartbeats are written down.
    pub flush_seconds: u32,
    /// Whether nodes with `i-` ids can be tagged here.
    pub tag_i_nodes: bool,
}
