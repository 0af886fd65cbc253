//! A run's news: numbered, timed, written to the log, and announced to the agent.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use muster_document::{Outcome, PlannedStep};
use muster_model::{Clock, Timestamp};
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{Record, RunResult, RunStatus, StepResult, StepStatus};

use super::process::pause;
use super::step::Finished;
use crate::journal::{Dropped, Fact, Log, RunId};

/// Longest trace, in characters (run-command 8.1).
const TRACE_LIMIT: usize = 2_500;
/// How long a result waits for room on a full disk before the runner gives up, in seconds.
const STUBBORNNESS: u32 = 600;

/// Writes what happens in a run.
pub(crate) struct Recorder<'a> {
    run: RunId,
    log: Log,
    sequence: u64,
    clock: &'a dyn Clock,
    socket: Option<UnixDatagram>,
    agent: PathBuf,
}

impl<'a> Recorder<'a> {
    /// Goes on after the record with number `sequence`; announces to the socket at `agent`.
    pub(crate) fn new(run: RunId, log: Log, sequence: u64, clock: &'a dyn Clock, agent: PathBuf) -> Self {
        let socket = UnixDatagram::unbound()
            .ok()
            .filter(|socket| socket.set_nonblocking(true).is_ok());
        Self {
            run,
            log,
            sequence,
            clock,
            socket,
            agent,
        }
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds news to what the next commit writes.
    pub(crate) fn add(&mut self, news: News) {
        self.sequence += 1;
        let at = Some(proto_time(self.now()));
        self.log.add(Fact::Record(Record {
            sequence: self.sequence,
            at,
            fact: Some(news),
        }));
    }

    /// Adds the end of the run.
    pub(crate) fn add_end(&mut self, status: RunStatus, trace: &str) {
        self.add(News::RunResult(RunResult {
            status: status.into(),
            trace: shorten(trace),
        }));
    }

    /// Adds that the run never starts.
    pub(crate) fn add_dropped(&mut self) {
        let at_us = self.now().as_microsecond();
        self.log.add(Fact::Dropped(Dropped { at_us }));
    }

    /// Writes a note for whoever resumes the run; it need not survive a power cut.
    pub(crate) fn note(&mut self, fact: impl Into<Fact>) -> io::Result<()> {
        self.log.add(fact);
        self.log.write()
    }

    /// Makes what was added durable. It is announced later: most likely there will soon be more to tell.
    pub(crate) fn commit_quietly(&mut self) -> io::Result<()> {
        self.log.commit()
    }

    /// Makes what was added durable and announces it.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        self.log.commit()?;
        self.announce();
        Ok(())
    }

    /// As `commit`, for news that must not be lost because the disk is full for a while.
    pub(crate) fn commit_stubbornly(&mut self) -> io::Result<()> {
        for _ in 0..STUBBORNNESS {
            if self.commit().is_ok() {
                return Ok(());
            }
            pause(Duration::from_secs(1));
        }
        self.commit()
    }

    /// The agent may be away; it reads the log when it comes back.
    pub(crate) fn announce(&self) {
        if let Some(socket) = &self.socket {
            let _ = socket.send_to(self.run.to_string().as_bytes(), &self.agent);
        }
    }
}

/// A text that fits a trace.
pub(crate) fn shorten(trace: &str) -> String {
    trace.chars().take(TRACE_LIMIT).collect()
}

/// A moment in the form of the protocol.
pub(crate) fn proto_time(moment: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = (moment.as_second(), moment.subsec_nanosecond());
    // The protocol counts nanoseconds forwards, also before 1970.
    match nanos < 0 {
        true => prost_types::Timestamp {
            seconds: seconds - 1,
            nanos: nanos + 1_000_000_000,
        },
        false => prost_types::Timestamp { seconds, nanos },
    }
}

/// How a step ended, in the form of the protocol.
pub(super) fn step_status(outcome: Outcome) -> StepStatus {
    match outcome {
        Outcome::Success | Outcome::SuccessAndExit => StepStatus::Success,
        Outcome::Failed | Outcome::FailedAndExit | Outcome::SuccessAndReboot => StepStatus::Failed,
        Outcome::TimedOut => StepStatus::TimedOut,
        Outcome::Cancelled => StepStatus::Cancelled,
        Outcome::Skipped => StepStatus::Skipped,
    }
}

/// How a run ended, in the form of the protocol.
pub(super) fn run_status(status: muster_document::RunStatus) -> RunStatus {
    match status {
        muster_document::RunStatus::Success => RunStatus::Success,
        muster_document::RunStatus::Failed | muster_document::RunStatus::SuccessAndReboot => RunStatus::Failed,
        muster_document::RunStatus::TimedOut => RunStatus::TimedOut,
        muster_document::RunStatus::Cancelled => RunStatus::Cancelled,
    }
}

/// What names a step in news: its position, its name, its action.
pub(super) fn identity(step: &PlannedStep) -> (u32, String, String) {
    let index = u32::try_from(step.index()).expect("a document of 64 KiB has fewer steps than that");
    (index, step.name().to_owned(), step.action().name().to_owned())
}

/// A step that ended, as news.
pub(super) fn result(step: &PlannedStep, finished: &Finished, started_at: Timestamp, finished_at: Timestamp) -> News {
    let (index, name, action) = identity(step);
    News::StepResult(StepResult {
        index,
        name,
        action,
        status: step_status(finished.outcome).into(),
        code: finished.code,
        started_at: Some(proto_time(started_at)),
        finished_at: Some(proto_time(finished_at)),
        stdout: finished.stdout.clone(),
        stderr: finished.stderr.clone(),
        stdout_bytes: finished.stdout_bytes,
        stderr_bytes: finished.stderr_bytes,
        output: finished.summary.clone(),
        trace: shorten(&finished.trace.join("\n")),
    })
}
