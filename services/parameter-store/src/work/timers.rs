//! Lets the policies of parameters have their say.

use std::time::Duration;

use muster_boot::Parts;
use muster_store::Db;

use crate::domain::scope::Scope;
use crate::store::timer::{self, Stuck};
use crate::work::Publisher;

/// How often timers are looked at. Readers do not depend on it: what has expired is not shown.
const EVERY: Duration = Duration::from_secs(10);
/// Timers in one transaction.
const AT_ONCE: i64 = 200;

/// Starts the task.
pub(crate) fn start(parts: &Parts, db: Db, scope: Scope, publisher: Publisher) {
    let (stopping, clock) = (parts.tasks.stopping(), parts.clock.clone());
    parts.tasks.spawn("timers", async move {
        let mut stuck = Stuck::default();
        loop {
            match timer::act(&db, &scope, clock.now(), AT_ONCE, &mut stuck).await {
                Ok(0) => {}
                Ok(_) => {
                    publisher.wake();
                    // There may be more.
                    if stopping.is_cancelled() {
                        return Ok(());
                    }
                    continue;
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "policies of parameters wait: their timers cannot be read"
                ),
            }
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
}
