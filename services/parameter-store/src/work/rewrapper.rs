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
use crate::store::key::{self, WrappedRow};
use crate::work::key_uses::KeyUses;
use crate::work::witness::Witness;

/// How often somebody looks for keys that are not current any more.
const EVERY: Duration = Duration::from_secs(60);
/// Steps of a second.
const STEPS: u32 = 10;

/// Starts the task; `per_second` data keys are wrapped at most. If it is 0 none is, and only their keys are counted.
pub(crate) fn start(parts: &Parts, db: Db, scope: Scope, keys: Arc<Keys>, per_second: u32) {
    let stopping = parts.tasks.stopping();
    let at_once = i64::from(per_second.div_ceil(STEPS));
    let pause = Duration::from_secs(1) * u32::try_from(at_once).unwrap_or(1) / per_second.max(1);
    let (uses, witness) = (KeyUses::register(parts), Witness::new(parts, scope.clone()));
    parts.tasks.spawn("rewrapper", async move {
        loop {
            let work = async {
                uses.show(&key::in_use(&db).await?);
                if per_second > 0
                    && round(&db, &scope, &keys, at_once, &witness, || tokio::time::sleep(pause)).await? > 0
                {
                    uses.show(&key::in_use(&db).await?);
                }
                Ok::<(), BoxError>(())
            };
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                outcome = work => if let Err(error) = outcome {
                    tracing::warn!(error = &*error, "data keys wait for being wrapped anew");
                }
            }
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
}

/// Wraps all data keys anew whose key has a newer version, `at_once` in a transaction, with a pause after each; says how
/// many there were.
pub(crate) async fn round<P: Future<Output = ()>>(
    db: &Db,
    scope: &Scope,
    keys: &Keys,
    at_once: i64,
    witness: &Witness,
    pause: impl Fn() -> P,
) -> Result<usize, BoxError> {
    let mut total = 0;
    for (old, needed) in key::in_use(db).await? {
        match keys.is_current(&old).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error @ KeyError::Unavailable(_)) => return Err(error.into()),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(key = %old, error, "data keys of a key that cannot be used stay as they are");
                continue;
            }
        }
        witness.begins(&old, needed).await;
        let mut count = 0;
        let outcome = of_key(db, scope, keys, &old, at_once, &pause, &mut count).await;
        tracing::info!(key = %old, count, "data keys were wrapped anew");
        witness.ends(&old, needed, count, &key::in_use(db).await?).await;
        outcome?;
        total += count;
    }
    Ok(total)
}

/// The same for one key; counts as it goes on, so that it is known how many there were when it is broken off.
async fn of_key<P: Future<Output = ()>>(
    db: &Db,
    scope: &Scope,
    keys: &Keys,
    old: &KeyName,
    at_once: i64,
    pause: &impl Fn() -> P,
    count: &mut usize,
) -> Result<(), BoxError> {
    let mut after = (String::new(), 0);
    loop {
        let rows = key::wrapped_with(db, old, &after, at_once).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.place();
        *count += some(db, scope, keys, old, rows).await?;
        pause().await;
    }
}

/// The same for some data keys. One that cannot be read stays as it is; whoever reads its value is told.
async fn some(db: &Db, scope: &Scope, keys: &Keys, old: &KeyName, rows: Vec<WrappedRow>) -> Result<usize, BoxError> {
    let mut anew = Vec::with_capacity(rows.len());
    for row in rows {
        let binding = Binding {
            scope,
            path: &row.path,
            version: row.version,
            kind: row.parameter_type()?,
        };
        match keys.rewrap(&row.wrapped(old)?, &row.key_id, &binding).await {
            Ok(wrapped) => anew.push((row, wrapped)),
            Err(error @ KeyError::Unavailable(_)) => return Err(error.into()),
            Err(error) => tracing::warn!(
                parameter = row.path,
                version = row.version,
                error = &error as &dyn std::error::Error,
                "a data key cannot be wrapped anew"
            ),
        }
    }
    if !anew.is_empty() {
        key::rewrap(db, &anew).await?;
    }
    Ok(anew.len())
}
