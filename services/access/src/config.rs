//! The section `[service]` of the settings.

use std::path::PathBuf;

use serde::Deserialize;

use crate::domain::identity::Who;
use crate::domain::web_identity;

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
    /// Whose tokens are believed besides access keys.
    pub identity_providers: Vec<IdentityProvider>,
    /// Seconds between two times that the last use of access keys is written down.
    pub last_used_seconds: u32,
    /// Days after which records of the audit log are removed; 0: never.
    pub audit_retention_days: u32,
}

/// An OpenID Connect provider whose tokens name users.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityProvider {
    /// Its address, as its tokens name it.
    pub issuer: String,
    /// Whom tokens must be for: the client id of Muster there.
    pub audience: String,
    /// The claim that is the name of a user.
    pub user_claim: String,
    /// The authority of its certificate (PEM); empty: those that the machine knows.
    #[serde(default)]
    pub ca: PathBuf,
}

impl IdentityProvider {
    fn validate(&self) -> Result<(), &'static str> {
        if !web_identity::is_place(&self.issuer) {
            return Err("has an issuer that is no https:// address (http:// only on loopback)");
        }
        match self.audience.is_empty() || self.user_claim.is_empty() {
            true => Err("needs an audience and a user_claim"),
            false => Ok(()),
        }
    }
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
    /// Tokens of nobody.
    #[error("the identity provider {issuer:?} {what}")]
    IdentityProvider {
        /// Which one.
        issuer: String,
        /// What is wrong with it.
        what: &'static str,
    },
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
        for (number, provider) in self.identity_providers.iter().enumerate() {
            let refused = |what| SettingsError::IdentityProvider {
                issuer: provider.issuer.clone(),
                what,
            };
            provider.validate().map_err(refused)?;
            if self.identity_providers[..number]
                .iter()
                .any(|other| other.issuer == provider.issuer)
            {
                return Err(refused("is there twice"));
            }
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
    fn an_identity_provider_is_reached_by_tls() {
        let settings = |issuer: &str, audience: &str| {
            let provider = IdentityProvider {
                issuer: issuer.to_owned(),
                audience: audience.to_owned(),
                user_claim: "email".to_owned(),
                ca: PathBuf::new(),
            };
            Settings {
                identity_providers: vec![provider],
                ..defaults()
            }
        };
        for good in ["https://id.example.org/realms/a", "http://127.0.0.1:8080"] {
            assert_eq!(settings(good, "muster").validate(), Ok(()), "{good}");
        }
        for bad in [
            "http://id.example.org",
            "id.example.org",
            "",
            "https://id.example.org/?a=b",
            "https://",
        ] {
            assert!(settings(bad, "muster").validate().is_err(), "{bad}");
        }
        assert!(settings("https://id.example.org", "").validate().is_err());
        let mut twice = settings("https://id.example.org", "muster");
        twice.identity_providers.push(twice.identity_providers[0].clone());
        assert!(twice.validate().unwrap_err().to_string().contains("twice"));
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
