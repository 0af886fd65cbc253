//! When the disk is looked at, and what follows for the agent (agent.md B5). What is removed: `tidying`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_model::{Clock, SystemClock};

use super::agent::{Agent, Event, Phase};
use super::tidying::{self, Findings};
use crate::journal::Ledger;
use crate::report::Disk;

/// How often the disk is looked at.
const PAUSE: Duration = Duration::from_secs(600);
/// How often while there is no room.
const FULL: Duration = Duration::from_secs(10);
/// The disk is also looked at when this share of a quota may have been filled since.
const SHARE: u64 = 20;

/// When to look, and what was found.
#[derive(Debug)]
pub(crate) struct Upkeep {
    due: Instant,
    is_looking: bool,
    /// What came since the last look: bytes of output, runs.
    bytes: u64,
    runs: u64,
    disk: Disk,
    refuses_work: Option<String>,
    pub(crate) ledger: Arc<Ledger>,
}

impl Upkeep {
    pub(crate) fn new() -> Self {
        Self {
            due: Instant::now(),
            is_looking: false,
            bytes: 0,
            runs: 0,
            disk: Disk::default(),
            refuses_work: None,
            ledger: Arc::default(),
        }
    }

    /// Looks soon.
    pub(crate) fn wish(&mut self, now: Instant) {
        self.due = self.due.min(now);
    }

    /// A run ended and left so many bytes.
    pub(crate) fn ended(&mut self, bytes: u64, now: Instant) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.runs += 1;
        if self.much_has_come() {
            self.wish(now);
        }
    }

    fn much_has_come(&self) -> bool {
        // A run leaves about four entries: its log, its directory, its script, its output.
        let is_much = |came: u64, quota: u64| quota > 0 && came >= quota / SHARE;
        is_much(self.bytes, self.disk.quota_bytes) || is_much(4 * self.runs, self.disk.quota_entries)
    }

    fn begin(&mut self) {
        self.is_looking = true;
        (self.bytes, self.runs) = (0, 0);
    }

    /// The look is over; what came meanwhile it may not have seen.
    fn end(&mut self, now: Instant) {
        self.is_looking = false;
        self.due = if self.much_has_come() { now } else { now + PAUSE };
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        !self.is_looking && self.due <= now
    }

    /// When it is due; a look that is under way tells its end itself.
    pub(crate) fn due(&self) -> Instant {
        if self.is_looking { self.due + PAUSE } else { self.due }
    }

    pub(crate) fn disk(&self) -> Disk {
        self.disk
    }

    /// Why no new work is taken, if so.
    pub(crate) fn refuses_work(&self) -> Option<&str> {
        self.refuses_work.as_deref()
    }
}

impl Agent {
    /// Looks after the disk, on a thread that may wait for it.
    pub(super) fn look_after_disk(&mut self) {
        self.upkeep.begin();
        let (state, settings) = (self.state.clone(), self.settings.clone());
        let ledger = Arc::clone(&self.upkeep.ledger);
        let work = tokio::task::spawn_blocking(move || tidying::tidy(&state, SystemClock.now(), &settings, &ledger));
        self.tasks.push(Box::pin(async move {
            Event::UpkeepDone(match work.await {
                Ok(Ok(findings)) => Some(Box::new(findings)),
                Ok(Err(error)) => {
                    tracing::error!(%error, "cannot look after the state directory");
                    None
                }
                Err(panic) => {
                    tracing::error!(%panic, "looking after the state directory failed");
                    None
                }
            })
        }));
    }

    /// The disk was looked at.
    pub(super) fn disk_looked_at(&mut self, findings: Option<Findings>) {
        let now = Instant::now();
        self.upkeep.end(now);
        let Some(findings) = findings else { return };
        self.upkeep.disk = findings.disk;
        let is_full = findings.is_full && findings.ledger.is_none();
        if is_full != self.upkeep.refuses_work.is_some() {
            self.upkeep.refuses_work = is_full.then(|| {
                let Disk { bytes, entries, .. } = findings.disk;
                format!("the state directory is over its quota with {bytes} bytes and {entries} entries")
            });
            match &self.upkeep.refuses_work {
                Some(reason) => tracing::error!(reason, "no new work is taken for the moment"),
                None => tracing::info!("there is room for work again"),
            }
            self.report.wish(now);
        }
        if let Some(ledger) = findings.ledger {
            // Its runs are known by now, so that their logs may go.
            self.upkeep.ledger = Arc::new(ledger);
            self.upkeep.due = now;
        } else if is_full {
            self.upkeep.due = now + FULL;
        }
        for run in findings.stale {
            if matches!(self.runs.get(&run), Some(known) if matches!(known.phase, Phase::Over)) {
                tracing::warn!(run = %run, "nobody took the news of this run for a week after it expired; given up");
                self.file_away(run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_while_the_disk_is_looked_at_brings_another_look() {
        let now = Instant::now();
        let mut upkeep = Upkeep::new();
        upkeep.disk.quota_entries = 200;
        upkeep.begin();
        upkeep.end(now);
        assert!(!upkeep.is_due(now));
        upkeep.begin();
        for _ in 0..3 {
            upkeep.ended(0, now);
        }
        assert!(!upkeep.is_due(now), "it is being looked at");
        upkeep.end(now);
        assert!(upkeep.is_due(now));
        upkeep.begin();
        upkeep.end(now);
        assert!(!upkeep.is_due(now));
    }
}
