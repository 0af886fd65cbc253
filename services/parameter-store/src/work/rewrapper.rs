//! Wraps data keys anew when their key has a newer version, or when the name of it means another key now. Values are not
//! touched, and readers notice nothing.
//!
//! Each step is a transaction of its own and says itself what was done, in the rows: whoever is interrupted goes on where
//! the rows say, and two replicas do no harm to each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use muster_boot::{BoxError, Parts};
use muster_store::Db;

use crate::domain::scope::Scope;
use crate::secret::{Binding, KeyError, KeyName, Keys};
use crate::store::key::{self, Named, WrappedRow};
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

/// Wraps all data keys anew that would be wrapped otherwise today, `at_once` in a transaction, with a pause after each;
/// says how many there were.
pub(crate) async fn round<P: Future<Output = ()>>(
    db: &Db,
    scope: &Scope,
    keys: &Keys,
    at_once: i64,
    witness: &Witness,
    pause: impl Fn() -> P,
) -> Result<usize, BoxError> {
    let mut total = 0;
    let mut names = Names {
        keys,
        meanings: HashMap::new(),
    };
    let named = key::named(db).await?;
    for of_key in named.chunk_by(|one, next| one.key == next.key) {
        let old = &of_key[0].key;
        let stale = names.stale(old, of_key).await?;
        if stale.is_empty() {
            continue;
        }
        let needed = stale.iter().map(|named| named.count).sum();
        witness.begins(old, needed).await;
        let mut count = 0;
        let outcome = of_names(db, scope, keys, &stale, at_once, &pause, &mut count).await;
        tracing::info!(key = %old, count, "data keys were wrapped anew");
        let left = key::named(db).await?;
        let is_stale = |named: &&Named| {
            stale
                .iter()
                .any(|one| (&one.key, &one.key_id) == (&named.key, &named.key_id))
        };
        let rest = left.iter().filter(is_stale).map(|named| named.count).sum();
        witness.ends(old, needed, count, rest, &key::in_use(db).await?).await;
        outcome?;
        total += count;
    }
    Ok(total)
}

/// What callers' names of keys mean today. Each is looked up once in a round.
struct Names<'a> {
    keys: &'a Keys,
    /// Nothing for a name that means what it did, or of which nobody can say what it means.
    meanings: HashMap<String, Option<String>>,
}

impl Names<'_> {
    /// Of what is wrapped with a key, that which would be wrapped with another one today. What cannot be used stays as it
    /// is.
    async fn stale<'b>(&mut self, old: &KeyName, of_key: &'b [Named]) -> Result<Vec<&'b Named>, BoxError> {
        match self.keys.is_current(old).await {
            Ok(false) => return Ok(of_key.iter().collect()),
            Ok(true) => {}
            Err(error @ KeyError::Unavailable(_)) => return Err(error.into()),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(key = %old, error, "data keys of a key that cannot be used stay as they are");
                return Ok(Vec::new());
            }
        }
        let mut stale = Vec::new();
        for named in of_key {
            let meaning = self.meaning(&named.key_id).await?;
            if meaning.is_some_and(|key| !old.is_of(key)) {
                stale.push(named);
            }
        }
        Ok(stale)
    }

    async fn meaning(&mut self, key_id: &str) -> Result<Option<&str>, BoxError> {
        if !self.meanings.contains_key(key_id) {
            let meaning = match self.keys.meaning(key_id).await {
                Ok(meaning) => meaning,
                Err(error @ KeyError::Unavailable(_)) => return Err(error.into()),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(key_id, error, "data keys of a name that means no key stay as they are");
                    None
                }
            };
            self.meanings.insert(key_id.to_owned(), meaning);
        }
        Ok(self.meanings.get(key_id).and_then(Option::as_deref))
    }
}

/// The same for some names of one key; counts as it goes on, so that it is known how many there were when it is broken
/// off.
async fn of_names<P: Future<Output = ()>>(
    db: &Db,
    scope: &Scope,
    keys: &Keys,
    stale: &[&Named],
    at_once: i64,
    pause: &impl Fn() -> P,
    count: &mut usize,
) -> Result<(), BoxError> {
    for named in stale {
        let mut after = (String::new(), 0);
        loop {
            let rows = key::wrapped_with(db, named, &after, at_once).await?;
            let Some(last) = rows.last() else { break };
            after = last.place();
            *count += some(db, scope, keys, &named.key, rows).await?;
            pause().await;
        }
    }
    Ok(())
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
            // The provider took the old key once more: another part of it has not heard yet of what the name means.
            Ok(wrapped) if wrapped.key == *old => {}
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
