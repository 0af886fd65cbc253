//! What a running agent writes down about itself, for `status` and `doctor`: facts that are nowhere else on the disk.

use serde::{Deserialize, Serialize};

/// The file `status.json`. Times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The agent that wrote it.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: String,
    /// Where it connects to, without a password.
    pub server: String,
    /// Whether it is connected.
    pub is_connected: bool,
    /// Since when that is so.
    pub since: String,
    /// When a service answered last.
    pub answered_at: Option<String>,
    /// Why the service or the server does not want this node, if so.
    pub refusal: Option<String>,
    /// Microseconds that the node's clock is ahead of the service's.
    pub clock_offset_us: Option<i64>,
    /// Runs under way.
    pub running: usize,
    /// Runs that wait for their turn.
    pub queued: usize,
    /// Runs whose news is not confirmed.
    pub unconfirmed: usize,
    /// Whether a run waits for the machine to boot.
    pub awaits_reboot: bool,
    /// What is wrong with the configuration; the last good one applies.
    pub configuration_problem: Option<String>,
    /// What is wrong with the policy; nothing runs.
    pub policy_problem: Option<String>,
    /// Messages that were not obeyed since the start because nobody whom this node knows had signed them.
    pub distrusted: u64,
    /// Why the last of them was not.
    pub distrust: Option<String>,
    /// What the state directory takes.
    pub disk: Disk,
    /// Why new work is refused for the moment, if so.
    pub refuses_work: Option<String>,
}

/// What the state directory takes, and may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that they may have.
    pub quota_bytes: u64,
    /// Files and directories.
    pub entries: u64,
    /// How many there may be.
    pub quota_entries: u64,
}
