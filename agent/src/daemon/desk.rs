//! What the agent writes down about itself (`status.json`), so that `status` needs nobody but the disk.

use std::time::{Duration, Instant};

use muster_model::{Clock, Timestamp};

use super::agent::Agent;
use super::bus;
use crate::facts;
use crate::policy::Policy;
use crate::report::Report;

/// Changes within this are written together.
const GATHER: Duration = Duration::from_millis(200);
/// It is written at least so often.
const PAUSE: Duration = Duration::from_secs(60);

/// What is known only here, and when to write.
#[derive(Debug)]
pub(crate) struct Desk {
    due: Instant,
    started_at: Option<Timestamp>,
    since: Option<Timestamp>,
    answered_at: Option<Timestamp>,
    pub(crate) refusal: Option<String>,
    configuration_problem: Option<String>,
}

impl Desk {
    pub(crate) fn new(configuration_problem: Option<String>) -> Self {
        Self {
            due: Instant::now(),
            started_at: None,
            since: None,
            answered_at: None,
            refusal: None,
            configuration_problem,
        }
    }

    /// Something has changed.
    pub(crate) fn wish(&mut self, now: Instant) {
        self.due = self.due.min(now + GATHER);
    }

    /// The connection came or went.
    pub(crate) fn linked(&mut self, now: Timestamp) {
        self.since = Some(now);
        self.wish(Instant::now());
    }

    /// A service answered.
    pub(crate) fn answered(&mut self, now: Timestamp) {
        self.answered_at = Some(now);
        self.wish(Instant::now());
    }

    /// The configuration was read.
    pub(crate) fn configuration(&mut self, problem: Option<String>) {
        self.configuration_problem = problem;
        self.wish(Instant::now());
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }
}

impl Agent {
    /// Writes the report.
    pub(super) fn write_report(&mut self, now: Instant) {
        let clock = self.clock.now();
        let desk = &mut self.report;
        desk.due = now + PAUSE;
        let started_at = *desk.started_at.get_or_insert(clock);
        let since = *desk.since.get_or_insert(clock);
        let policy_problem = Policy::of(&self.settings).err().map(|error| error.to_string());
        if let Some(problem) = &policy_problem {
            tracing::error!(problem, "nothing runs on this node until its policy is understood");
        }
        let report = Report {
            pid: std::process::id(),
            version: facts::version().to_owned(),
            started_at: started_at.to_string(),
            server: bus::without_password(&self.settings.server),
            is_connected: self.is_connected,
            since: since.to_string(),
            answered_at: self.report.answered_at.map(|time| time.to_string()),
            refusal: self.report.refusal.clone(),
            clock_offset_us: self.talk.offset_us,
            running: self.queue.running(),
            queued: self.queue.waiting().len(),
            unconfirmed: self.outbox.len(),
            awaits_reboot: self.wants_reboot(),
            configuration_problem: self.report.configuration_problem.clone(),
            policy_problem,
            distrusted: self.trust.refused,
            distrust: self.trust.last.clone(),
            disk: self.upkeep.disk(),
            refuses_work: self.upkeep.refuses_work().map(str::to_owned),
        };
        if let Err(error) = self.state.set_report(&report) {
            tracing::debug!(%error, "cannot write the status file");
        }
    }
}
