//! When access keys were last used: kept in memory, written down together now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use muster_boot::Parts;
use muster_store::Db;

use crate::store::access_key;

/// Most access keys that are kept until the next writing.
const MOST: usize = 100_000;

/// The uses since the last writing, in microseconds since 1970.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastUsed(Arc<Mutex<HashMap<String, i64>>>);

impl LastUsed {
    /// Starts writing down.
    pub(crate) fn start(parts: &Parts, db: Db, period: Duration) -> Self {
        let used = Self::default();
        let (own, stopping) = (used.clone(), parts.tasks.stopping());
        parts.tasks.spawn("last-used", async move {
            let mut is_last = false;
            while !is_last {
                tokio::select! {
                    () = stopping.cancelled() => is_last = true,
                    () = tokio::time::sleep(period) => {}
                }
                own.flush(&db).await;
            }
            Ok(())
        });
        used
    }

    /// An access key was used.
    pub(crate) fn note(&self, access_key_id: String, micros: i64) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() < MOST || uses.contains_key(&access_key_id) {
            let last = uses.entry(access_key_id).or_insert(micros);
            *last = micros.max(*last);
        }
    }

    async fn flush(&self, db: &Db) {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if uses.is_empty() {
            return;
        }
        let uses: Vec<_> = uses.into_iter().collect();
        if let Err(error) = access_key::used(db, &uses).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "when access keys were used was not written down yet"
            );
            for (id, micros) in uses {
                self.note(id, micros);
            }
        }
    }
}
