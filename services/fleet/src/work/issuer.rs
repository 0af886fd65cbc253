//! Signs the credentials of nodes (fleet 9) with the scoped key, which can sign nodes, and neither services nor people.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster_boot::{PrivateFileError, read_private};
use muster_credential::layout::NodeClaims;
use muster_credential::{Key, KeyError, KeyKind, PublicKey};
use muster_model::Timestamp;
use muster_wire::{Failure, subject};

use crate::Settings;

const HOUR: i64 = 60 * 60;

/// Why credentials cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssuerError {
    #[error("node_key_file cannot be used")]
    File(#[from] PrivateFileError),
    #[error("node_key_file {} cannot be used", .path.display())]
    Seed {
        path: PathBuf,
        #[source]
        source: KeyError,
    },
    #[error("node_account is no public key of an account")]
    Account(#[source] KeyError),
}

/// Signs credentials.
#[derive(Debug)]
pub(crate) struct Issuer {
    account: PublicKey,
    scoped: Key,
    /// How long they live, in seconds.
    life: i64,
}

impl Issuer {
    /// The issuer of the settings; none where the bus needs no credentials.
    ///
    /// # Errors
    /// If a key cannot be used.
    pub(crate) fn open(settings: &Settings) -> Result<Option<Self>, IssuerError> {
        if settings.node_key_file.is_empty() {
            return Ok(None);
        }
        let path = Path::new(&settings.node_key_file);
        let text = read_private(path)?;
        let scoped = Key::from_seed(&text, KeyKind::Account).map_err(|source| IssuerError::Seed {
            path: path.to_owned(),
            source,
        })?;
        let account = settings.node_account.parse::<PublicKey>();
        let account = account.and_then(|account| account.of_kind(KeyKind::Account));
        Ok(Some(Self {
            account: account.map_err(IssuerError::Account)?,
            scoped,
            life: i64::from(settings.credential_hours) * HOUR,
        }))
    }

    /// Credentials for a node's key, with doorbells for its tags; they end at `until` (in microseconds) at the latest.
    ///
    /// # Errors
    /// If the node's id or its tags cannot stand in credentials, which is our fault.
    pub(crate) fn sign(
        &self,
        node_id: &str,
        key: &PublicKey,
        tags: &BTreeMap<String, String>,
        now: Timestamp,
        until: Option<i64>,
    ) -> Result<String, Failure> {
        let left = until.map(|until| until.saturating_sub(now.as_microsecond()).div_euclid(1_000_000));
        let claims = NodeClaims {
            node: node_id,
            tags: tags.iter().map(|(key, value)| subject::tag_hash(key, value)).collect(),
            now: now.as_second(),
            life: left.map_or(self.life, |left| left.clamp(1, self.life)),
        };
        claims.sign(key, &self.account, &self.scoped).map_err(Failure::internal)
    }
}
