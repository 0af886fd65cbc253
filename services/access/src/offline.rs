//! The audit log without a service: in tables that lie in a folder, on a stopped machine or in a backup.

use std::path::Path;

use muster_boot::BoxError;
use muster_store::Db;

use crate::domain::audit::{Fault, Link};
use crate::key_file::KeyRing;
use crate::store::{access_key, audit};
use crate::{DATABASE, KeyFileError};

/// Why a log cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The tables do not open, or do not answer.
    #[error("the tables of access cannot be used")]
    Tables(#[source] BoxError),
    /// Without the key file nobody can tell whether the log was replaced as a whole.
    #[error("the seal of the log cannot be checked")]
    Keys(#[from] KeyFileError),
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong, if anything is.
    pub fault: Option<Fault>,
    /// How many records were looked at.
    pub records: i64,
    /// The last record that fits.
    pub last: Link,
    /// What was before the first record that is there.
    pub anchor: Link,
}

/// Goes through the whole log. `known` is a record whose hash somebody kept.
///
/// # Errors
/// If the tables or the key file cannot be used.
pub async fn verify(database_url: &str, key_file: &Path, known: Option<Link>) -> Result<Verdict, OfflineError> {
    let tables = |error: muster_store::StoreError| OfflineError::Tables(error.into());
    let db = Db::open(database_url, DATABASE.schema, DATABASE.migrations)
        .await
        .map_err(tables)?;
    let needed = access_key::keys_in_use(&db).await.map_err(tables)?;
    if needed.is_empty() {
        // No service ever started on them: there is no log, and no key file is to be made for it.
        db.close().await;
        return Ok(Verdict {
            fault: None,
            records: 0,
            last: Link::START,
            anchor: Link::START,
        });
    }
    let keys = KeyRing::load(key_file, &needed)?;
    let found = audit::verify(&db, &keys, known).await;
    db.close().await;
    let found = found.map_err(tables)?;
    Ok(Verdict {
        fault: found.fault,
        records: found.records,
        last: found.last,
        anchor: found.anchor,
    })
}
