//! The section `[service]` of the settings.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

/// Settings of the gateway; `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How callers are known.
    pub authentication: AuthenticationMode,
    /// Regions that signatures may be for; `*` stands for all.
    pub regions: Vec<String>,
    /// Names under which callers know this gateway when something on the way changes `Host`.
    pub trusted_host_aliases: Vec<String>,
    /// A proxy in front takes requests by TLS only, and nothing else reaches the port.
    pub behind_tls_proxy: bool,
    /// Requests a second that one access key may make for ever. No limit in development on loopback.
    pub requests_per_second: NonZeroU32,
    /// Requests that one access key may make at once after a pause.
    pub request_burst: NonZeroU32,
    /// Requests a second that one address may make without credentials for ever.
    pub anonymous_requests_per_second: NonZeroU32,
    /// Requests without credentials that one address may make at once after a pause.
    pub anonymous_request_burst: NonZeroU32,
    /// Requests a second that one address may make for ever with access keys or signatures that are not good.
    pub failed_requests_per_second: NonZeroU32,
    /// Such requests that one address may make at once after a pause.
    pub failed_request_burst: NonZeroU32,
    /// A proxy in front puts where a request came from at the end of `X-Forwarded-For`.
    pub forwarded_for: bool,
    /// Listen where others can connect, although any credentials are accepted, or requests come in clear.
    pub insecure_listen_anywhere: bool,
    /// Longest request body, in bytes.
    pub max_body_bytes: usize,
    /// Seconds to wait for an operation that only reads.
    pub read_timeout_seconds: u64,
    /// Seconds to wait for any other operation.
    pub write_timeout_seconds: u64,
}

/// How callers are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthenticationMode {
    /// Any credentials are accepted.
    Development,
    /// Signatures are verified (SigV4).
    Signature,
}

impl Settings {
    /// How long to wait for an operation.
    pub(crate) fn timeout(&self, reads: bool) -> Duration {
        Duration::from_secs(if reads {
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
        assert!(!settings.insecure_listen_anywhere && !settings.behind_tls_proxy && !settings.forwarded_for);
        assert_eq!(settings.authentication, super::AuthenticationMode::Development);
        assert_eq!(
            (settings.requests_per_second.get(), settings.request_burst.get()),
            (40, 80)
        );
        assert!(common.server.listen.starts_with("127.0.0.1:"));
    }
}
