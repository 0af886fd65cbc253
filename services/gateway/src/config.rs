//! The section `[service]` of the settings.

use std::time::Duration;

use serde::Deserialize;

/// Settings of the gateway; `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Listen where others can connect, although any credentials are accepted.
    pub insecure_listen_anywhere: bool,
    /// Longest request body, in bytes.
    pub max_body_bytes: usize,
    /// Seconds to wait for an operation that only reads.
    pub read_timeout_seconds: u64,
    /// Seconds to wait for any other operation.
    pub write_timeout_seconds: u64,
}

impl Settings {
    /// How long to wait for an operation.
    pub(crate) fn timeout(&self, idempotent: bool) -> Duration {
        Duration::from_secs(if idempotent {
            self.read_timeout_seconds
        } else {
            self.write_timeout_seconds
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_defaults_can_be_read_and_are_safe() {
        let (common, settings) = muster_boot::load::<super::Settings>(crate::DEFAULTS, None).unwrap();
        assert!(!settings.insecure_listen_anywhere);
        assert!(common.server.listen.starts_with("127.0.0.1:"));
    }
}
