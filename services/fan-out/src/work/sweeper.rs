//! Forgets old rollouts.

use std::time::Duration;

use muster_boot::Parts;
use muster_model::{SignedDuration, Timestamp};
use muster_store::Db;

use crate::store::retention::forget;

const EVERY: Duration = Duration::from_secs(600);
const AT_ONCE: u32 = 20;

/// Starts the task that deletes rollouts that were settled longer than `kept` ago.
pub(crate) fn start(parts: &Parts, db: Db, kept: SignedDuration) {
    let stopping = parts.tasks.stopping();
    let clock = parts.clock.clone();
    parts.tasks.spawn("sweeper", async move {
        loop {
            let before = clock.now().saturating_sub(kept).unwrap_or(Timestamp::MIN);
            match forget(&db, before, AT_ONCE).await {
                // There may be more.
                Ok(AT_ONCE) => continue,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "old rollouts were not deleted"
                    );
                }
            }
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
}
