//! Wraps data keys anew when their key has a newer version. Values are not touched, and readers notice nothing.
//!
//! Each step is a transaction of its own and says itself what was done, in the rows: whoever is interrupted goes on where
//! the rows say, and two replicas do no harm to each other.

use std::sync::Arc;
use std::time::Duration;

use muster_boot::{BoxError, Parts};
use muster_store::Db;

use crate::domain::scope::Scope;
use crate::secret::{Binding, KeyError, KeyName, Keys};
use crate::store::key;

/// How often somebody looks for keys that are not current any more.
const EVERY: Duration = Duration::from_secs(60);
/// Steps of a second.
const STEPS: u32 = 10;

/// Starts the task; `per_second` data keys are wrapped at most, none if it is 0.
pub(crate) fn start(parts: &Parts, db: Db, scope: Scope, keys: Arc<Keys>, per_second: u32) {
    if per_second == 0 {
        return;
    }
    let stopping = parts.tasks.stopping();
    let at_once = i64::from(per_second.div_ceil(STEPS));
    let pause = Duration::from_secs(1) * u32::try_from(at_once).unwrap_or(1) / per_second;
    parts.tasks.spawn("rewrapper", async move {
        loop {
            let wait = match step(&db, &scope, &keys, at_once).await {
                Ok(true) => pause,
                Ok(false) => EVERY,
                Err(error) => {
                    tracing::warn!(error = &*error, "data keys wait for being wrapped anew");
                    EVERY
                }
            };
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    });
}

/// Wraps some data keys anew; whether there may be more.
pub(crate) async fn step(db: &Db, scope: &Scope, keys: &Keys, at_once: i64) -> Result<bool, BoxError> {
    let in_use = key::in_use(db).await?;
    for (old, count) in &in_use {
        if keys.is_current(old).await? {
            continue;
        }
        if some(db, scope, keys, old, at_once).await? {
            tracing::info!(key = %old, left = (count - at_once).max(0), "data keys were wrapped anew");
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same for one key; false if nothing of it can be wrapped anew.
async fn some(db: &Db, scope: &Scope, keys: &Keys, old: &KeyName, at_once: i64) -> Result<bool, BoxError> {
    let mut anew = Vec::new();
    for row in key::wrapped_with(db, old, at_once).await? {
        let binding = Binding {
            scope,
            path: &row.path,
            version: row.version,
            kind: row.parameter_type()?,
        };
        match keys.rewrap(&row.wrapped(old)?, &row.key_id, &binding).await {
            Ok(wrapped) => anew.push((row, wrapped)),
            Err(error @ KeyError::Unavailable(_)) => return Err(error.into()),
            // One that cannot be read stays as it is; whoever reads it is told.
            Err(error) => tracing::warn!(
                parameter = row.path,
                version = row.version,
                error = &error as &dyn std::error::Error,
                "a data key cannot be wrapped anew"
            ),
        }
    }
    if anew.is_empty() {
        return Ok(false);
    }
    key::rewrap(db, &anew).await?;
    Ok(true)
}
