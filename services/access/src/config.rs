//! The section `[service]` of the settings.

use std::path::PathBuf;

use serde::Deserialize;

use crate::domain::identity::Account;

/// Settings of access; `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// First part of ARNs after `arn`.
    pub partition: String,
    /// The account in ARNs.
    pub account_id: String,
    /// Where the keys are that encrypt secrets.
    pub key_file: PathBuf,
    /// Most users.
    pub max_users: u32,
    /// Most groups.
    pub max_groups: u32,
    /// Most roles.
    pub max_roles: u32,
    /// Most policies beside the built-in ones.
    pub max_policies: u32,
    /// Seconds between two times that the last use of access keys is written down.
    pub last_used_seconds: u32,
}

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The account is no account.
    #[error("account_id is {0:?}: an account has 12 digits")]
    Account(String),
    /// The partition is none.
    #[error("partition is {0:?}: it has letters, digits and hyphens")]
    Partition(String),
    /// A period of nothing.
    #[error("last_used_seconds must be at least 1")]
    Zero,
    /// No file.
    #[error("key_file must name a file")]
    KeyFile,
}

impl Settings {
    pub(crate) fn account(&self) -> Account {
        Account {
            partition: self.partition.clone(),
            id: self.account_id.clone(),
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let (account, partition) = (&self.account_id, &self.partition);
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SettingsError::Account(account.clone()));
        }
        if partition.is_empty() || !partition.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(SettingsError::Partition(partition.clone()));
        }
        if self.last_used_seconds == 0 {
            return Err(SettingsError::Zero);
        }
        if self.key_file.as_os_str().is_empty() {
            return Err(SettingsError::KeyFile);
        }
        Ok(())
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
    }

    #[test]
    fn what_makes_no_arn_is_refused() {
        for bad in ["", "12345678901", "12345678901x"] {
            let mut settings = defaults();
            settings.account_id = bad.to_owned();
            assert_eq!(settings.validate(), Err(SettingsError::Account(bad.to_owned())));
        }
        let mut settings = defaults();
        settings.partition = "a:b".to_owned();
        assert_eq!(settings.validate(), Err(SettingsError::Partition("a:b".to_owned())));
    }
}
