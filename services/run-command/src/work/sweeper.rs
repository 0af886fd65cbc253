//! Forgets old commands.

use std::time::Duration;

use muster_boot::Parts;
use muster_model::SignedDuration;
use muster_store::Db;

use crate::store::news::forget_notifications;
use crate::store::retention::forget;

const EVERY: Duration = Duration::from_secs(600);
const AT_ONCE: i64 = 100;

/// Starts the task that deletes commands older than `days`.
pub(crate) fn start(parts: &Parts, db: Db, days: u32) {
    let stopping = parts.tasks.stopping();
    let clock = parts.clock.clone();
    let kept = SignedDuration::from_hours(24 * i64::from(days));
    parts.tasks.spawn("sweeper", async move {
        loop {
            let before = clock
                .now()
                .saturating_sub(kept)
                .map_or(i64::MIN, |time| time.as_microsecond());
            match forget(&db, before, AT_ONCE).await {
                // There may be more.
                Ok(gone) if gone == u64::try_from(AT_ONCE).unwrap_or_default() => continue,
                Ok(_) => {
                    let day_ago = clock.now().saturating_sub(SignedDuration::from_hours(24));
                    let before = day_ago.map_or(i64::MIN, |time| time.as_microsecond());
                    if let Err(error) = forget_notifications(&db, before).await {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "notifications for sinks that are gone were not deleted"
                        );
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "old commands were not deleted"
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
