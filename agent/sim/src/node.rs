//! One agent's side of the protocol, without IO: messages and moments in, effects out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use muster_model::NodeId;
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{
    Ack, Record, RunResult, RunStatus, StepResult, StepStarted, StepStatus, Verdict, WorkItem,
};

use crate::RunId;
use crate::script::{Door, End, Outcome};
use crate::steps::Step;
use crate::tally::Tally;

/// A step that is over within a moment is told about once, at its end; as the real agent does.
const MOMENT: Duration = Duration::from_millis(500);

/// What follows from something that happened to a node.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Publish this.
    Ack(Ack),
    /// There is news of a run to be sent.
    Reply(RunId),
    /// Call `Node::wake` for the run then.
    Wake(RunId, Instant),
}

/// One simulated agent.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its place in the fleet.
    pub(crate) number: usize,
    pub(crate) id: NodeId,
    journal: HashMap<RunId, Run>,
    /// How often it will still say that it is busy, by run.
    busy: HashMap<RunId, u32>,
    tally: Tally,
}

#[derive(Debug)]
struct Run {
    outcome: Outcome,
    steps: Arc<Result<Vec<Step>, String>>,
    began: Timestamp,
    /// When it ends and when its start is told; `None` once that has happened.
    ends: Option<Instant>,
    tells: Option<Instant>,
    records: Vec<Record>,
    confirmed: u64,
    is_over: bool,
    traceparent: Option<String>,
}

impl Node {
    pub(crate) fn new(number: usize, id: NodeId, tally: Tally) -> Self {
        Self {
            number,
            id,
            journal: HashMap::new(),
            busy: HashMap::new(),
            tally,
        }
    }

    /// A work item came.
    pub(crate) fn work(
        &mut self,
        work: &WorkItem,
        traceparent: Option<String>,
        steps: Arc<Result<Vec<Step>, String>>,
        outcome: Outcome,
        moment: (Instant, Timestamp),
    ) -> Vec<Effect> {
        let Ok(run) = work.run_id.parse::<RunId>() else {
            return Vec::new();
        };
        self.tally.delivered(run, self.number);
        if work.node_id != self.id.as_str() || outcome.door == Door::Ignore {
            return Vec::new();
        }
        if let Some(known) = self.journal.get_mut(&run) {
            let is_heard = known.outcome.acknowledges;
            let mut effects: Vec<Effect> = is_heard
                .then(|| Effect::Ack(ack(run, Verdict::Accepted)))
                .into_iter()
                .collect();
            if known.is_over {
                known.confirmed = 0;
                effects.push(Effect::Reply(run));
            }
            return effects;
        }
        match outcome.door {
            Door::Refuse => return vec![Effect::Ack(ack(run, Verdict::Refused))],
            Door::Busy(times, retry_after_ms) => {
                let left = self.busy.entry(run).or_insert(times);
                if *left > 0 {
                    *left -= 1;
                    return vec![Effect::Ack(Ack {
                        retry_after_ms,
                        ..ack(run, Verdict::Busy)
                    })];
                }
            }
            _ if work.time_to_live_ms == 0 => return vec![Effect::Ack(ack(run, Verdict::Refused))],
            _ => {}
        }
        self.begin(run, traceparent, steps, outcome, moment)
    }

    fn begin(
        &mut self,
        run: RunId,
        traceparent: Option<String>,
        steps: Arc<Result<Vec<Step>, String>>,
        outcome: Outcome,
        (now, clock): (Instant, Timestamp),
    ) -> Vec<Effect> {
        self.tally.began(run, self.number);
        let mut effects = Vec::new();
        if outcome.acknowledges {
            effects.push(Effect::Ack(ack(run, Verdict::Accepted)));
        }
        let ends = (outcome.end != End::Never).then(|| now + outcome.delay);
        let tells = (ends.is_none() || outcome.delay > MOMENT).then(|| now + MOMENT);
        effects.extend(tells.into_iter().chain(ends).map(|at| Effect::Wake(run, at)));
        self.journal.insert(
            run,
            Run {
                outcome,
                steps,
                began: clock,
                ends,
                tells,
                records: Vec::new(),
                confirmed: 0,
                is_over: false,
                traceparent,
            },
        );
        // What takes no time needs no timer.
        if ends.is_some_and(|ends| ends <= now) {
            effects.retain(|effect| matches!(effect, Effect::Ack(_)));
            effects.extend(self.wake(run, (now, clock)));
        }
        effects
    }

    /// A moment that was asked for has come.
    pub(crate) fn wake(&mut self, run: RunId, (now, clock): (Instant, Timestamp)) -> Vec<Effect> {
        let Some(known) = self.journal.get_mut(&run).filter(|run| !run.is_over) else {
            return Vec::new();
        };
        if known.ends.is_some_and(|ends| ends <= now) {
            known.end(clock);
            self.tally.ended(run, true);
            return vec![Effect::Reply(run)];
        }
        if known.tells.take_if(|tells| *tells <= now).is_some() {
            known.start_first_step(clock);
            return vec![Effect::Reply(run)];
        }
        Vec::new()
    }

    /// A cancel came, perhaps before the work.
    pub(crate) fn cancel(&mut self, run: RunId, clock: Timestamp) -> Vec<Effect> {
        let began = self.journal.contains_key(&run);
        let known = self.journal.entry(run).or_insert_with(|| Run {
            outcome: Outcome::NOTHING,
            steps: Arc::new(Ok(Vec::new())),
            began: clock,
            ends: None,
            tells: None,
            records: Vec::new(),
            confirmed: 0,
            is_over: false,
            traceparent: None,
        });
        if known.is_over {
            known.confirmed = 0;
        } else {
            known.cancel(clock, began);
            self.tally.ended(run, began);
        }
        vec![Effect::Reply(run)]
    }

    /// What is to be sent of a run, and its trace context; nothing if all is confirmed.
    pub(crate) fn news(&self, run: RunId) -> Option<(Vec<Record>, Option<String>, u32)> {
        let known = self.journal.get(&run).filter(|run| run.outcome.reports)?;
        let from = known
            .records
            .partition_point(|record| record.sequence <= known.confirmed);
        let records = known.records[from..].to_vec();
        (!records.is_empty()).then(|| (records, known.traceparent.clone(), 1 + u32::from(known.outcome.repeats)))
    }

    /// The coordinator has records up to `sequence`. Whether there is more to send.
    pub(crate) fn confirm(&mut self, run: RunId, sequence: u64) -> bool {
        let Some(known) = self.journal.get_mut(&run) else {
            return false;
        };
        let last = known.records.last().map_or(0, |record| record.sequence);
        let was_open = known.confirmed < last;
        known.confirmed = known.confirmed.max(sequence.min(last));
        if was_open && known.is_over && known.confirmed == last {
            self.tally.confirmed(run);
        }
        known.confirmed < last
    }

    /// Runs that are not finished and confirmed.
    pub(crate) fn unfinished(&self) -> Vec<RunId> {
        let is_open = |run: &Run| !run.is_over || run.records.last().is_some_and(|last| last.sequence > run.confirmed);
        self.journal
            .iter()
            .filter(|(_, run)| is_open(run))
            .map(|(id, _)| *id)
            .collect()
    }
}

impl Run {
    fn add(&mut self, clock: Timestamp, fact: News) {
        let sequence = self.records.len() as u64 + 1;
        self.records.push(Record {
            sequence,
            at: Some(proto_time(clock)),
            fact: Some(fact),
        });
    }

    fn start_first_step(&mut self, clock: Timestamp) {
        let steps = Arc::clone(&self.steps);
        if let Ok([first, ..]) = steps.as_deref() {
            self.start(clock, 0, first);
        }
    }

    fn start(&mut self, clock: Timestamp, index: u32, step: &Step) {
        let (name, action) = (step.name.clone(), step.action.clone());
        self.add(clock, News::StepStarted(StepStarted { index, name, action }));
    }

    fn result(&self, clock: Timestamp, index: u32, step: &Step, status: StepStatus, code: i32) -> News {
        News::StepResult(StepResult {
            index,
            name: step.name.clone(),
            action: step.action.clone(),
            status: status.into(),
            code,
            started_at: Some(proto_time(self.began)),
            finished_at: Some(proto_time(clock)),
            stdout: self.outcome.stdout.clone(),
            stdout_bytes: self.outcome.stdout.len() as u64,
            output: self.outcome.stdout.clone(),
            ..StepResult::default()
        })
    }

    fn end(&mut self, clock: Timestamp) {
        let steps = Arc::clone(&self.steps);
        let (status, trace) = match steps.as_ref() {
            Err(trace) => (RunStatus::Failed, trace.clone()),
            Ok(steps) => (self.end_steps(clock, steps), String::new()),
        };
        self.add(
            clock,
            News::RunResult(RunResult {
                status: status.into(),
                trace,
            }),
        );
        self.is_over = true;
    }

    fn end_steps(&mut self, clock: Timestamp, steps: &[Step]) -> RunStatus {
        let (last_status, last_code, status) = match self.outcome.end {
            End::Exit | End::Never if self.outcome.code == 0 => (StepStatus::Success, 0, RunStatus::Success),
            End::Exit | End::Never => (StepStatus::Failed, self.outcome.code, RunStatus::Failed),
            End::TimeOut => (StepStatus::TimedOut, 137, RunStatus::TimedOut),
        };
        for (index, step) in (0..).zip(steps) {
            // The first may have been told already.
            if index > 0 || self.records.is_empty() {
                self.start(clock, index, step);
            }
            let is_last = index as usize + 1 == steps.len();
            let (status, code) = if is_last {
                (last_status, last_code)
            } else {
                (StepStatus::Success, 0)
            };
            let result = self.result(clock, index, step, status, code);
            self.add(clock, result);
        }
        status
    }

    fn cancel(&mut self, clock: Timestamp, began: bool) {
        let steps = Arc::clone(&self.steps);
        if let Ok([first, ..]) = steps.as_deref()
            && began
        {
            if self.records.is_empty() {
                self.start(clock, 0, first);
            }
            let result = self.result(clock, 0, first, StepStatus::Cancelled, 137);
            self.add(clock, result);
        }
        let trace = if began {
            String::new()
        } else {
            "cancelled before the node had received it".to_owned()
        };
        self.add(
            clock,
            News::RunResult(RunResult {
                status: RunStatus::Cancelled.into(),
                trace,
            }),
        );
        self.is_over = true;
    }
}

fn ack(run: RunId, verdict: Verdict) -> Ack {
    Ack {
        run_id: run.to_string(),
        verdict: verdict.into(),
        reason: String::new(),
        retry_after_ms: 0,
    }
}

fn proto_time(clock: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: clock.as_second(),
        nanos: clock.subsec_nanosecond(),
    }
}

#[cfg(test)]
mod tests;
