//! Removes what is too old from the audit log, where the settings say so.

use std::sync::Arc;
use std::time::Duration;

use muster_boot::{BoxError, Parts};
use muster_model::Timestamp;
use muster_store::Db;

use crate::domain::audit::Entry;
use crate::key_file::KeyRing;
use crate::store::audit;
use crate::work::Recorder;

/// Between two looks at the oldest records.
const EVERY: Duration = Duration::from_secs(3600);
/// Records that are removed together: nobody who writes waits longer than for that.
const AT_ONCE: i64 = 5_000;
const SECONDS_OF_A_DAY: i64 = 86_400;
/// What the log says who removes them.
const WHO: &str = "arn:muster:nats:::account/MUSTER";
const ACTION: &str = "muster:TruncateAudit";

/// How long records of the audit log are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    days: u32,
}

impl Retention {
    /// `None`: for ever.
    pub(crate) fn of_days(days: u32) -> Option<Self> {
        (days > 0).then_some(Self { days })
    }

    /// Starts looking, now and once an hour.
    pub(crate) fn start(self, parts: &Parts, db: Db, keys: Arc<KeyRing>, recorder: Recorder) {
        let (stopping, clock) = (parts.tasks.stopping(), Arc::clone(&parts.clock));
        parts.tasks.spawn("audit-retention", async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    outcome = self.round(&db, &keys, &recorder, clock.now()) => match outcome {
                        Ok(0) => {}
                        Ok(removed) => tracing::info!(removed, days = self.days, "old records of the audit log were removed"),
                        Err(error) => tracing::warn!(error = &*error, "old records of the audit log are still there"),
                    }
                }
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    () = tokio::time::sleep(EVERY) => {}
                }
            }
        });
    }

    /// Removes everything that is too old, and says how much that was.
    async fn round(self, db: &Db, keys: &KeyRing, recorder: &Recorder, now: Timestamp) -> Result<i64, BoxError> {
        let before = self.first_kept(now);
        let mut total = 0;
        while let Some(until) = audit::last_before(db, before, AT_ONCE).await? {
            // As with everything that changes something: it is written down first.
            recorder.write(vec![self.entry(until.sequence, now)]).await?;
            match audit::truncate(db, keys, until).await? {
                Ok(removed) => total += removed,
                // Another replica was faster, and goes on.
                Err(_) => break,
            }
        }
        Ok(total)
    }

    /// Time of the first records that stay, in microseconds since 1970.
    fn first_kept(self, now: Timestamp) -> i64 {
        let kept = i64::from(self.days).saturating_mul(SECONDS_OF_A_DAY * 1_000_000);
        now.as_microsecond().saturating_sub(kept)
    }

    fn entry(self, until: i64, now: Timestamp) -> Entry {
        Entry {
            time: now.as_microsecond(),
            principal: WHO.to_owned(),
            surface: "local".to_owned(),
            action: ACTION.to_owned(),
            resource: "*".to_owned(),
            decision: "Allow".to_owned(),
            details: vec![format!("until={until}"), format!("audit_retention_days={}", self.days)],
            ..Entry::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stay_for_so_many_whole_days() {
        assert_eq!(Retention::of_days(0), None);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let kept = Retention::of_days(30).unwrap().first_kept(now);
        assert_eq!(kept, (1_800_000_000 - 30 * 86_400) * 1_000_000);
        assert!(Retention::of_days(u32::MAX).unwrap().first_kept(now) < 0);
    }
}
