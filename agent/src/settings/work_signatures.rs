//! The key `work_signatures`.

use serde::{Deserialize, Serialize};

/// Whose work is carried out (fleet 10, decision 18).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkSignatures {
    /// As soon as the coordinator has shown its keys, only what they have signed; until then, whatever the bus brings.
    #[default]
    Pinned,
    /// Only what pinned keys have signed; without keys nothing.
    Required,
    /// Whatever the bus brings.
    Off,
}
