//! Accepting and cancelling: from a message to the journal and the acknowledgement (agent.md B2).

use std::time::Instant;

use async_nats::Message as BusMessage;
use muster_credential::Purpose;
use muster_model::Clock;
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{Ack, Cancel, Listen, Record, RunResult, RunStatus, Verdict, WorkItem};
use muster_wire::subject;
use prost::Message;

use super::admission::{self, Refused};
use super::agent::{Agent, Event, Phase, Run};
use super::trust::AGAIN_MS;
use crate::journal::{Accepted, Closed, Deadline, Fact, RunId};

/// When to come again after a refusal for load.
const RETRY_AFTER_MS: u64 = 10_000;

/// What waits for the journal. While one group is being synced the next one gathers.
#[derive(Default)]
pub(crate) struct Intake {
    gathering: Vec<(RunId, Fact)>,
    is_writing: bool,
}

impl Intake {
    pub(crate) fn is_empty(&self) -> bool {
        self.gathering.is_empty() && !self.is_writing
    }
}

impl Agent {
    /// Something was said to this node: the last word of the subject says what.
    pub(super) fn told(&mut self, message: &BusMessage) {
        match message.subject.rsplit('.').next() {
            Some("work") => self.offered(message),
            Some("cancel") => match Cancel::decode(message.payload.as_ref()) {
                Ok(cancel) => {
                    if self.believes(Purpose::Cancel, message).is_ok() {
                        self.cancel(&cancel);
                    }
                }
                Err(error) => tracing::warn!(%error, "a cancel that is not understood"),
            },
            Some("output") => match Listen::decode(message.payload.as_ref()) {
                Ok(said) => self.listened(&said),
                Err(error) => tracing::warn!(%error, "a listener that is not understood"),
            },
            Some("config") => self.talk.hello.wish(Instant::now()),
            Some("ping") => self.talk.heartbeat_due = Instant::now(),
            other => tracing::warn!(subject = other, "a message for a later version of the agent"),
        }
    }

    /// The coordinator offers work.
    fn offered(&mut self, message: &BusMessage) {
        if self.talk.is_quarantined {
            // The machine that was there before answers, if it is there.
            tracing::debug!("work for a node of which this machine is a copy");
            return;
        }
        let work = match WorkItem::decode(message.payload.as_ref()) {
            Ok(work) => work,
            Err(error) => {
                // Without a run id there is nobody to answer to; the coordinator asks again and gives up in time.
                tracing::warn!(%error, "a work item that is not understood");
                return;
            }
        };
        let believed = self.believes(Purpose::WorkItem, message);
        let run = match believed.and_then(|()| admission::check(&work, &self.node)) {
            Ok(run) => run,
            Err(refused) => return self.refuse(&work.run_id, &refused),
        };
        if self.is_known(run) {
            return;
        }
        let left = match self.time_left(work.not_after_ms) {
            Ok(left) => left,
            Err(refused) => return self.refuse(&work.run_id, &refused),
        };
        if let Some(reason) = self.upkeep.refuses_work() {
            return self.ack(run, Verdict::Busy, reason, RETRY_AFTER_MS);
        }
        if self.queue.is_full(self.intake.gathering.len()) {
            return self.ack(run, Verdict::Busy, "the queue is full", RETRY_AFTER_MS);
        }
        let traceparent = message.headers.as_ref().and_then(|headers| headers.get("traceparent"));
        let traceparent = traceparent.map_or_else(String::new, ToString::to_string);
        let deadline = Deadline::after(&self.moment(), work.time_to_live_ms.min(left));
        let at_us = self.clock.now().as_microsecond();
        let accepted = Accepted {
            work: Some(work),
            at_us,
            deadline: Some(deadline),
            traceparent: traceparent.clone(),
        };
        self.admit(run, at_us, traceparent, Fact::Accepted(accepted));
    }

    /// Answers for a run that was here before. `false`: it was not.
    fn is_known(&mut self, run: RunId) -> bool {
        match self.runs.get(&run).map(|run| &run.phase) {
            // Its acknowledgement follows when it is in the journal.
            Some(Phase::Arriving { .. }) => {}
            Some(Phase::Waiting(_) | Phase::Running(_) | Phase::Rebooting) => self.ack(run, Verdict::Accepted, "", 0),
            Some(Phase::Over) => {
                self.ack(run, Verdict::Accepted, "", 0);
                self.tell_again(run);
            }
            None => match self.state.journal().reopen(run) {
                Ok(true) => {
                    self.ack(run, Verdict::Accepted, "", 0);
                    self.take_up(run);
                }
                Ok(false) => match self.upkeep.ledger.get(run) {
                    Some(closed) => self.tell_in_short(run, closed),
                    None => return false,
                },
                Err(error) => tracing::error!(%error, run = %run, "cannot read the journal"),
            },
        }
        true
    }

    /// Sends the end of a run of which only the ledger knows.
    fn tell_in_short(&mut self, run: RunId, closed: Closed) {
        self.ack(run, Verdict::Accepted, "", 0);
        if closed.last_sequence == 0 {
            return;
        }
        let now = self.clock.now();
        let end = RunResult {
            status: closed.status,
            trace: "the node keeps only this result any more".to_owned(),
        };
        let record = Record {
            sequence: closed.last_sequence,
            at: Some(crate::runner::proto_time(now)),
            fact: Some(News::RunResult(end)),
        };
        self.admit(run, now.as_microsecond(), String::new(), Fact::Record(record));
    }

    /// Sends the end of a run once more.
    pub(super) fn tell_again(&mut self, run: RunId) {
        if let Some(known) = self.runs.get_mut(&run) {
            known.confirmed = 0;
            self.outbox.post(known.age, run, Instant::now());
        }
    }

    /// Stops a run, also one that has not come yet: then it will be over before it begins.
    fn cancel(&mut self, cancel: &Cancel) {
        let Ok(run) = cancel.run_id.parse::<RunId>() else {
            tracing::warn!("a cancel without a run");
            return;
        };
        let Some(known) = self.runs.get_mut(&run) else {
            return self.cancel_unknown(run);
        };
        match &mut known.phase {
            Phase::Arriving { is_cancelled } => *is_cancelled = true,
            Phase::Over => self.tell_again(run),
            Phase::Waiting(_) | Phase::Running(_) | Phase::Rebooting => self.stop_run(run),
        }
    }

    fn cancel_unknown(&mut self, run: RunId) {
        match self.state.journal().reopen(run) {
            Ok(true) => self.take_up(run),
            Ok(false) => {
                tracing::info!(run = %run, "cancelled before it came");
                let now = self.clock.now();
                let end = RunResult {
                    status: RunStatus::Cancelled.into(),
                    trace: "cancelled before the node had received it".to_owned(),
                };
                let at = Some(crate::runner::proto_time(now));
                let record = Record {
                    sequence: 1,
                    at,
                    fact: Some(News::RunResult(end)),
                };
                self.admit(run, now.as_microsecond(), String::new(), Fact::Record(record));
            }
            Err(error) => tracing::error!(%error, run = %run, "cannot read the journal"),
        }
    }

    /// Marks a run as cancelled and makes sure that a runner sees the mark.
    pub(super) fn stop_run(&mut self, run: RunId) {
        if let Err(error) = self.state.journal().mark_cancelled(run) {
            // Without the mark the signal would look like a shutdown. The coordinator asks again.
            tracing::error!(%error, run = %run, "cannot mark the run as cancelled");
            return;
        }
        tracing::info!(run = %run, "cancelling");
        match self.runs.get(&run).map(|run| &run.phase) {
            Some(Phase::Running(Some(runner))) => runner.terminate(),
            Some(Phase::Waiting(_)) => {
                self.queue.start_out_of_turn(run);
                self.start_runner(run);
            }
            Some(Phase::Rebooting) => self.start_runner(run),
            // The next runner looks at the mark first.
            _ => {}
        }
    }

    fn admit(&mut self, run: RunId, age: i64, traceparent: String, first: Fact) {
        let phase = Phase::Arriving { is_cancelled: false };
        self.runs.insert(
            run,
            Run {
                age,
                traceparent,
                phase,
                confirmed: 0,
                failures: 0,
            },
        );
        self.intake.gathering.push((run, first));
    }

    /// Starts writing what has gathered, unless a group is being written.
    pub(super) fn write_journal(&mut self) {
        if self.intake.is_writing || self.intake.gathering.is_empty() {
            return;
        }
        self.intake.is_writing = true;
        let group = std::mem::take(&mut self.intake.gathering);
        let journal = self.state.journal().clone();
        let written = tokio::task::spawn_blocking(move || {
            let outcome = journal.begin(group.iter().map(|(run, fact)| (*run, fact)));
            (group.into_iter().map(|(run, _)| run).collect::<Vec<_>>(), outcome)
        });
        self.tasks.push(Box::pin(async move {
            match written.await {
                Ok((runs, outcome)) => Event::Journaled(runs, outcome),
                Err(panic) => Event::Journaled(Vec::new(), Err(panic.into())),
            }
        }));
    }

    /// A group is in the journal, or is not.
    pub(super) fn journaled(&mut self, runs: &[RunId], outcome: std::io::Result<()>) {
        self.intake.is_writing = false;
        if let Err(error) = outcome {
            tracing::error!(%error, "the journal takes nothing; new work is refused");
            for run in runs {
                self.runs.remove(run);
                self.ack(*run, Verdict::Busy, "the journal cannot be written", RETRY_AFTER_MS);
            }
            return;
        }
        for run in runs {
            let Some(Run {
                phase: Phase::Arriving { is_cancelled },
                ..
            }) = self.runs.get(run)
            else {
                continue;
            };
            let is_cancelled = *is_cancelled;
            self.take_up(*run);
            // A run that was cancelled before it came is over already, and is told as such.
            if matches!(
                self.runs.get(run),
                Some(Run {
                    phase: Phase::Waiting(_),
                    ..
                })
            ) {
                self.ack(*run, Verdict::Accepted, "", 0);
                tracing::info!(run = %run, "accepted");
                if is_cancelled {
                    self.stop_run(*run);
                }
            }
        }
    }

    fn refuse(&self, run: &str, refused: &Refused) {
        tracing::warn!(run, reason = %refused, "work refused");
        let (verdict, again) = match refused {
            // An item for another node must not be answered: that node's answer is the one that counts.
            Refused::OtherNode => return,
            refused if refused.is_passing() => (Verdict::Busy, AGAIN_MS),
            _ => (Verdict::Refused, 0),
        };
        self.publish_ack(run.to_owned(), verdict, &refused.to_string(), again);
    }

    fn ack(&self, run: RunId, verdict: Verdict, reason: &str, retry_after_ms: u64) {
        self.publish_ack(run.to_string(), verdict, reason, retry_after_ms);
    }

    fn publish_ack(&self, run_id: String, verdict: Verdict, reason: &str, retry_after_ms: u64) {
        let ack = Ack {
            run_id,
            verdict: verdict.into(),
            reason: reason.to_owned(),
            retry_after_ms,
        };
        self.publish(subject::up(&self.node, subject::UP_ACK), ack.encode_to_vec());
    }
}
