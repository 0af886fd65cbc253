//! The section `[service]` of the settings.

use muster_model::Account;
use serde::Deserialize;

use crate::domain::role::{self, Roles};

/// Settings of fleet; `config.default.toml` explains each key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seconds between two heartbeats of a node.
    pub heartbeat_seconds: u32,
    /// A node that was not heard of for this many seconds is `ConnectionLost`.
    pub connection_lost_seconds: u32,
    /// Seconds between two times that heartbeats are written down.
    pub flush_seconds: u32,
    /// Whether nodes with `i-` ids can be tagged here.
    pub tag_i_nodes: bool,
    /// Names of roles that nodes may have beside those that access knows.
    pub roles: Vec<String>,
    /// Who may become a node.
    pub registration: Registration,
    /// Whether machines may choose tags besides those of their activation.
    pub machine_tags: bool,
    /// A file with the seed of the scoped key, which signs credentials of nodes; empty: the bus needs none.
    pub node_key_file: String,
    /// The public key of the account that nodes belong to.
    pub node_account: String,
    /// Addresses of the bus as nodes reach it, told to machines that register.
    pub node_servers: Vec<String>,
    /// A file with the authority of the bus' certificate (PEM), told to machines that register; empty: none.
    pub node_ca_file: String,
    /// A file with the keys that sign work, `keys.json`, told to machines that register; empty: none.
    pub work_keys_file: String,
    /// Hours that credentials of nodes live.
    pub credential_hours: u32,
    /// Whether a copy of a machine is refused until an operator has looked.
    pub quarantine_clones: bool,
    /// Days that a node keeps a key; 0: for ever.
    pub key_days: u32,
}

/// Who may become a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Every machine that reaches the bus.
    Open,
    /// A machine that has an activation's id and code.
    Activation,
}

/// Settings that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A period of nothing.
    #[error("heartbeat_seconds and flush_seconds must be at least 1")]
    Zero,
    /// Nodes would be lost between two heartbeats.
    #[error(
        "connection_lost_seconds is {connection_lost_seconds}; it must be more than heartbeat_seconds and flush_seconds \
         together, which are {least}, or nodes that are well would be shown as lost"
    )]
    Impatient {
        /// As set.
        connection_lost_seconds: u32,
        /// What it must exceed.
        least: u64,
    },
    /// Credentials that live too short or too long.
    #[error("credential_hours must be 1 to 168, not {0}")]
    Credential(u32),
    /// A role that cannot be.
    #[error("roles: {0:?} is no name of a role: 1 to 64 letters, digits and _+=,.@- are")]
    Role(String),
}

impl Settings {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// If they do not.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if self.heartbeat_seconds == 0 || self.flush_seconds == 0 {
            return Err(SettingsError::Zero);
        }
        let least = u64::from(self.heartbeat_seconds) + u64::from(self.flush_seconds);
        if u64::from(self.connection_lost_seconds) <= least {
            return Err(SettingsError::Impatient {
                connection_lost_seconds: self.connection_lost_seconds,
                least,
            });
        }
        if !(1..=168).contains(&self.credential_hours) {
            return Err(SettingsError::Credential(self.credential_hours));
        }
        match self.roles.iter().find(|name| !role::is_name(name)) {
            Some(bad) => Err(SettingsError::Role(bad.clone())),
            None => Ok(()),
        }
    }

    /// The roles that nodes may have.
    pub(crate) fn roles(&self, account: &Account) -> Roles {
        Roles::new(account, &self.roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_together() {
        let (_, settings): (_, Settings) = muster_boot::load(crate::DEFAULTS, None).unwrap();
        assert_eq!(settings.validate(), Ok(()));
        assert_eq!(
            (settings.heartbeat_seconds, settings.connection_lost_seconds),
            (60, 180)
        );
        assert!(settings.flush_seconds <= 15);
    }

    #[test]
    fn impatient_settings_are_refused() {
        let (_, good): (_, Settings) = muster_boot::load(crate::DEFAULTS, None).unwrap();
        let impatient = Settings {
            connection_lost_seconds: 75,
            ..good.clone()
        };
        assert!(matches!(
            impatient.validate(),
            Err(SettingsError::Impatient { least: 75, .. })
        ));
        let zero = Settings {
            flush_seconds: 0,
            ..good
        };
        assert_eq!(zero.validate(), Err(SettingsError::Zero));
    }

    #[test]
    fn credentials_live_an_hour_to_a_week() {
        let (_, good): (_, Settings) = muster_boot::load(crate::DEFAULTS, None).unwrap();
        for (hours, is_good) in [(0, false), (1, true), (168, true), (169, false)] {
            let settings = Settings {
                credential_hours: hours,
                ..good.clone()
            };
            assert_eq!(settings.validate().is_ok(), is_good, "{hours}");
        }
    }

    #[test]
    fn roles_that_cannot_be_are_refused() {
        let (_, good): (_, Settings) = muster_boot::load(crate::DEFAULTS, None).unwrap();
        let role = Settings {
            roles: vec!["Good".to_owned(), "arn:bad".to_owned()],
            ..good
        };
        assert_eq!(role.validate(), Err(SettingsError::Role("arn:bad".to_owned())));
    }
}
