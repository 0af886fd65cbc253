//! The section `[service]` of the settings.

use std::path::PathBuf;

use muster_model::SignedDuration;
use serde::Deserialize;

use crate::contract::Limits;

/// Settings of fan-out; `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Finished rollouts are deleted after so many days.
    pub retention_days: u32,
    /// Most targets that one rollout may have.
    pub max_targets: u32,
    /// Most targets of one rollout that may be in flight at once.
    pub max_concurrency: u32,
    /// For how long a rollout belongs to a replica that gives no sign of life.
    pub lease_seconds: u32,
    /// Where the keys are that sign what is sent to nodes; empty: nothing is signed.
    pub work_keys_folder: PathBuf,
}

impl Settings {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            targets: self.max_targets,
            concurrency: self.max_concurrency.max(1),
        }
    }

    pub(crate) fn retention(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.retention_days))
    }

    pub(crate) fn lease(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.lease_seconds.max(1)))
    }
}
