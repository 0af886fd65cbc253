//! The section `[nats]`: with what the agent connects.

use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError, ConnectOptions, ServerAddr};
use muster_credential::{Creds, CredsError};
use muster_model::NodeId;
use muster_wire::{in_clear, stay_encrypted};
use serde::{Deserialize, Serialize};

/// With what the agent connects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bus {
    /// The node's `.creds` file, read at every connection; empty: the server lets everybody in.
    pub credentials: PathBuf,
    /// The authority of the server's certificate, PEM; the connection is encrypted then. Empty: none.
    pub ca: PathBuf,
    /// Connect without encryption although the server is not this machine: the network is private in itself.
    pub insecure: bool,
}

/// A server elsewhere, without encryption.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} is not encrypted, and whoever is on the way could give this machine commands: use tls:// or wss://, or name the \
     authority of the bus (--ca, or `ca` of the section [nats]); if the network is private in itself, say so (--insecure at \
     registration, or `insecure = true` of the section [nats])"
)]
pub struct InClear(String);

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: std::io::Error,
    },
    /// There are no credentials in it.
    #[error("there are no credentials in {path:?}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CredsError,
    },
    /// They are no node's.
    #[error("the credentials in {path:?} are those of {name:?}, which is no node")]
    NoNode {
        /// The file.
        path: PathBuf,
        /// Whose they are.
        name: String,
    },
    /// They are another node's.
    #[error("the credentials in {path:?} are those of {found}, but this machine is {node}")]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// Whose they are.
        found: NodeId,
        /// Who the machine is.
        node: NodeId,
    },
}

impl Bus {
    /// The node that the credentials are those of; nothing if there are none.
    ///
    /// # Errors
    /// If they cannot be read, or are not those of a node, or not of `known`.
    pub fn node(&self, known: Option<&NodeId>) -> Result<Option<NodeId>, CredentialsError> {
        let path = &self.credentials;
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let creds = read(path)?;
        let found: NodeId = creds.name().parse().map_err(|_| CredentialsError::NoNode {
            path: path.clone(),
            name: creds.name().to_owned(),
        })?;
        match known {
            Some(node) if *node != found => Err(CredentialsError::OtherNode {
                path: path.clone(),
                found,
                node: node.clone(),
            }),
            _ => Ok(Some(found)),
        }
    }

    /// Refuses servers elsewhere to which the connection would not be encrypted (fleet 9), unless that is wanted.
    ///
    /// # Errors
    /// The first of these.
    pub fn check(&self, servers: &[ServerAddr]) -> Result<(), InClear> {
        match in_clear(servers, !self.ca.as_os_str().is_empty()) {
            Some(server) if !self.insecure => Err(InClear(server)),
            _ => Ok(()),
        }
    }

    /// How to connect. The file is read again each time, so credentials that were renewed count at the next connection.
    #[must_use]
    pub fn options(&self, servers: &[ServerAddr]) -> ConnectOptions {
        let options = match self.credentials.as_os_str().is_empty() {
            true => ConnectOptions::new(),
            false => {
                let path = self.credentials.clone();
                ConnectOptions::with_auth_callback(move |nonce| {
                    let answer = answer(&path, &nonce).map_err(|error| {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the credentials cannot be used"
                        );
                        AuthError::new(error)
                    });
                    std::future::ready(answer)
                })
            }
        };
        self.trusting(options, servers)
    }

    /// The same server certificates are trusted with other credentials.
    #[must_use]
    pub fn trusting(&self, options: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
        let has_authority = !self.ca.as_os_str().is_empty();
        let options = match has_authority {
            true => options.add_root_certificates(self.ca.clone()),
            false => options,
        };
        stay_encrypted(options, servers, has_authority, self.insecure)
    }
}

fn read(path: &Path) -> Result<Creds, CredentialsError> {
    let text = std::fs::read_to_string(path).map_err(|source| CredentialsError::Read {
        path: path.to_owned(),
        source,
    })?;
    Creds::parse(&text).map_err(|source| CredentialsError::Content {
        path: path.to_owned(),
        source,
    })
}

fn answer(path: &Path, nonce: &[u8]) -> Result<Auth, CredentialsError> {
    let creds = read(path)?;
    let mut auth = Auth::new();
    auth.jwt = Some(creds.token().to_owned());
    auth.signature = Some(creds.key().sign(nonce));
    Ok(auth)
}

#[cfg(test)]
mod tests {
    use muster_credential::layout::NodeClaims;
    use muster_credential::{Key, KeyKind};

    use super::*;

    #[test]
    fn to_speak_in_clear_must_be_wanted() {
        let servers = ["nats://bus.example.org".parse().unwrap()];
        let error = Bus::default().check(&servers).unwrap_err().to_string();
        assert!(
            error.starts_with("nats://bus.example.org:4222 is not encrypted"),
            "{error}"
        );
        let insecure = Bus {
            insecure: true,
            ..Bus::default()
        };
        assert!(insecure.check(&servers).is_ok());
    }

    #[test]
    fn credentials_say_which_node_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let bus = Bus {
            credentials: folder.path().join("nats.creds"),
            ..Bus::default()
        };
        assert!(matches!(bus.node(None), Err(CredentialsError::Read { .. })));
        let (node, other) = (NodeId::random(), NodeId::random());
        let account = Key::generate(KeyKind::Account);
        let claims = NodeClaims {
            node: node.as_str(),
            tags: Vec::new(),
            now: 0,
            life: 60,
        };
        let creds = claims
            .creds(Key::generate(KeyKind::User), account.public(), &account)
            .unwrap();
        std::fs::write(&bus.credentials, creds.to_text().as_bytes()).unwrap();
        assert_eq!(bus.node(None).unwrap(), Some(node.clone()));
        assert_eq!(bus.node(Some(&node)).unwrap(), Some(node.clone()));
        assert!(matches!(
            bus.node(Some(&other)),
            Err(CredentialsError::OtherNode { .. })
        ));
        assert_eq!(Bus::default().node(Some(&other)).unwrap(), None);
        std::fs::write(&bus.credentials, "nothing").unwrap();
        assert!(matches!(bus.node(None), Err(CredentialsError::Content { .. })));
    }
}
