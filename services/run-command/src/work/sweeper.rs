//! Forgets old commands.

use std::time::Duration;

use muster_boot::Parts;
use muster_model::SignedDuration;
use muster_store::{Db, StoreError};

use crate::domain::log_stream;
use crate::store::decode;
use crate::store::news::forget_notifications;
use crate::store::retention::{forget, old};
use crate::work::LogStreams;

const EVERY: Duration = Duration::from_secs(600);
const AT_ONCE: i64 = 100;

/// Starts the task that deletes commands older than `days`.
pub(crate) fn start(parts: &Parts, db: Db, days: u32, streams: LogStreams) {
    let stopping = parts.tasks.stopping();
    let clock = parts.clock.clone();
    let kept = SignedDuration::from_hours(24 * i64::from(days));
    parts.tasks.spawn("sweeper", async move {
        loop {
            let before = clock
                .now()
                .saturating_sub(kept)
                .map_or(i64::MIN, |time| time.as_microsecond());
            // First the streams: a command that is gone could not say where they are.
            let swept = match forget_streams(&db, before, &streams).await {
                Ok(()) => forget(&db, before, AT_ONCE).await,
                Err(error) => Err(error),
            };
            match swept {
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

/// Removes the log streams of commands that are about to go.
async fn forget_streams(db: &Db, before: i64, streams: &LogStreams) -> Result<(), StoreError> {
    if !streams.is_configured() {
        return Ok(());
    }
    for (id, facts) in old(db, before, AT_ONCE).await? {
        let facts = decode(&facts)?;
        if !log_stream::is_wanted(&facts) {
            continue;
        }
        let (streams, group) = (streams.clone(), log_stream::group(&facts));
        let removed = tokio::task::spawn_blocking(move || streams.forget(&group, &id)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the log streams of an old command were not removed"
            );
        }
    }
    Ok(())
}
