//! The section `[service]` of the settings.

use std::path::PathBuf;

use serde::Deserialize;

use crate::domain::identity::Who;

/// Longest name of a user, in characters; the contract's limit.
const LONGEST_NAME: usize = 64;

/// Settings of access; `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the keys are that encrypt secrets.
    pub key_file: PathBuf,
    /// A user that is made with the policy `admin` at the first start; empty: none.
    pub first_admin: String,
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
    /// The first user cannot be called so.
    #[error("first_admin is {0:?}: a user has 1 to 64 letters, digits and +=,.@_-, and is not root")]
    FirstAdmin(String),
    /// A period of nothing.
    #[error("last_used_seconds must be at least 1")]
    Zero,
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
        let first = &self.first_admin;
        let is_word = first
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b));
        if !is_word || first.len() > LONGEST_NAME || Who::user(first.as_str()).is_root() {
            return Err(SettingsError::FirstAdmin(first.clone()));
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
    fn the_first_user_has_a_name_that_users_have() {
        for bad in ["root", "Root", "a b", "a/b", &"x".repeat(65)] {
            let mut settings = defaults();
            bad.clone_into(&mut settings.first_admin);
            assert_eq!(settings.validate(), Err(SettingsError::FirstAdmin(bad.to_owned())));
        }
        let mut settings = defaults();
        "operator".clone_into(&mut settings.first_admin);
        assert_eq!(settings.validate(), Ok(()));
    }
}
