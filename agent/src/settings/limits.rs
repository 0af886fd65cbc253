//! The section `[limits]`.

use serde::{Deserialize, Serialize};

/// Resource limits; what is absent is inherited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open descriptors of a process.
    pub open_files: Option<u64>,
    /// Processes of the user.
    pub processes: Option<u64>,
    /// Longest file that a process may write, in bytes.
    pub file_bytes: Option<u64>,
    /// Address space of a process, in bytes.
    pub memory_bytes: Option<u64>,
    /// Longest core dump, in bytes.
    pub core_bytes: Option<u64>,
    /// Processor time of a process, in seconds.
    pub cpu_seconds: Option<u64>,
}
