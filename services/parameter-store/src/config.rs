//! The section `[service]` of the settings.

use std::path::PathBuf;

use muster_proto::Word;
use muster_proto::parameterstore::v1::ParameterTier;
use serde::Deserialize;

use crate::secret::{AwsKmsSettings, ProviderKind, VaultTransitSettings};

/// Settings of the parameter store; `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Tier of new parameters for which the caller names none.
    pub default_tier: String,
    /// Most parameters of tier Standard; 0: no limit.
    pub max_standard: u32,
    /// Most parameters of tier Advanced; 0: no limit.
    pub max_advanced: u32,
    /// Whether lists by path leave out what the caller may not read by itself.
    pub bypath_per_parameter_check: bool,
    /// Whether a command's sender must be allowed to read what its nodes look up.
    pub require_sender_permission: bool,
    /// Who holds the keys that wrap new data keys.
    pub provider: ProviderKind,
    /// Keys in AWS KMS.
    pub aws_kms: AwsKmsSettings,
    /// Keys in Vault.
    pub vault_transit: VaultTransitSettings,
    /// Where the keys are that encrypt data keys.
    pub key_file: PathBuf,
    /// Data keys that are wrapped anew each second; 0: none.
    pub rewraps_per_second: u32,
    /// The key that answers to nodes are signed with; empty: they are not signed.
    pub answer_key_file: PathBuf,
}

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A tier that there is not.
    #[error("default_tier is {0:?}: it is one of Standard, Advanced and Intelligent-Tiering")]
    Tier(String),
    /// No file.
    #[error("key_file must name a file")]
    KeyFile,
}

impl Settings {
    /// Checks the settings.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if self.key_file.as_os_str().is_empty() {
            return Err(SettingsError::KeyFile);
        }
        self.tier().map(|_| ())
    }

    pub(crate) fn tier(&self) -> Result<ParameterTier, SettingsError> {
        ParameterTier::from_word(&self.default_tier).ok_or_else(|| SettingsError::Tier(self.default_tier.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Settings {
        muster_boot::load(crate::DEFAULTS, None).unwrap().1
    }

    #[test]
    fn the_embedded_defaults_are_understood() {
        assert_eq!(defaults().validate(), Ok(()));
        assert_eq!(defaults().tier(), Ok(ParameterTier::Standard));
    }

    #[test]
    fn what_is_no_tier_and_no_file_is_refused() {
        let check = |change: fn(&mut Settings), expected: SettingsError| {
            let mut settings = defaults();
            change(&mut settings);
            assert_eq!(settings.validate(), Err(expected));
        };
        check(
            |s| s.default_tier = "Gold".to_owned(),
            SettingsError::Tier("Gold".to_owned()),
        );
        check(|s| s.key_file = PathBuf::new(), SettingsError::KeyFile);
    }
}
