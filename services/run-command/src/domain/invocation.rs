//! An invocation: what the coordinator's news change in it (run-command 4.2).

use muster_model::{TargetOutcome, Timestamp};
use muster_proto::agent::v1::record::Fact;
use muster_proto::agent::v1::{OutputStored, StepResult};
use muster_proto::fanout::v1::Transition;

use crate::domain::output;
use crate::domain::status::{self, InvocationStatus};

/// `TraceOutput` holds this many characters.
const TRACE_LIMIT: usize = 2_500;

/// What changes in an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) status: InvocationStatus,
    /// When the work was sent to the node; until then when the command was accepted. Microseconds.
    pub(crate) requested_at: i64,
    pub(crate) trace: String,
}

/// A step as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plugin {
    pub(crate) position: u32,
    pub(crate) name: String,
    pub(crate) action: String,
    pub(crate) status: String,
    pub(crate) status_details: String,
    pub(crate) response_code: i32,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) output: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What an invocation takes over from a piece of news.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Steps that are new or changed, the last state of each.
    pub(crate) plugins: Vec<Plugin>,
    /// Steps that have not ended take the invocation's status, because it was ended without them.
    pub(crate) close_plugins: bool,
}

impl Invocation {
    /// Applies a piece of news. Repeated and late news change no status (rule 1).
    pub(crate) fn apply(&mut self, news: &Transition) -> Change {
        let mut change = Change::default();
        for record in &news.records {
            if let Some(Fact::OutputStored(output)) = &record.fact {
                self.note_output(output);
            }
        }
        if self.status.is_final() {
            self.fill(news, &mut change);
            return change;
        }
        let mut run = None;
        for record in &news.records {
            match &record.fact {
                Some(Fact::StepStarted(step)) => {
                    let at = record.at.as_ref().map(micros);
                    change.put(Plugin::started(step.index, &step.name, &step.action, at));
                }
                Some(Fact::StepResult(step)) => {
                    if !step.trace.is_empty() {
                        self.note(&format!("{}: {}", step.name, step.trace));
                    }
                    change.put(Plugin::ended(step));
                }
                Some(Fact::RebootRequested(reboot)) => {
                    let name = reboot.step.as_ref().map_or("", |step| &step.name);
                    self.note(&format!("{name}: the node restarts and then runs this step again"));
                }
                Some(Fact::RunResult(result)) => run = Some(result),
                _ => {}
            }
        }
        if let Some(result) = run {
            self.note(&result.trace);
        }
        self.note(&news.note);
        if let Some(next) = InvocationStatus::of(news.state()) {
            self.advance(next, news, &mut change);
        }
        change
    }

    fn advance(&mut self, next: InvocationStatus, news: &Transition, change: &mut Change) {
        if next == InvocationStatus::InProgress
            && self.status != next
            && let Some(at) = &news.at
        {
            self.requested_at = micros(at);
        }
        self.status = next;
        change.close_plugins = matches!(
            next,
            InvocationStatus::Ended(
                TargetOutcome::DeliveryTimedOut | TargetOutcome::Cancelled | TargetOutcome::Terminated
            )
        );
    }

    /// An invocation that was given up still takes the output of its steps, each once: a repeat finds its note there.
    fn fill(&mut self, news: &Transition, change: &mut Change) {
        let given_up = matches!(
            self.status,
            InvocationStatus::Ended(TargetOutcome::DeliveryTimedOut | TargetOutcome::Cancelled)
        );
        if !given_up {
            return;
        }
        for record in &news.records {
            match &record.fact {
                Some(Fact::StepResult(step)) => {
                    let note = format!("{}: {LATE}", step.name);
                    if !self.trace.contains(&note) {
                        change.put(Plugin::ended(step));
                        self.note(&note);
                    }
                }
                Some(Fact::RunResult(result)) => {
                    let note = format!("{} was {LATE}", status::run_word(result.status()));
                    if !self.trace.contains(&note) {
                        self.note(&note);
                    }
                }
                _ => {}
            }
        }
    }

    /// What became of an output that was not stored at once; told after the end as a rule, and perhaps again.
    fn note_output(&mut self, output: &OutputStored) {
        let fate = match (output.trouble.as_str(), output.is_log_stream) {
            ("", false) => "is stored now".to_owned(),
            ("", true) => "is in its log stream now".to_owned(),
            (trouble, false) => format!("is not stored: {trouble}"),
            (trouble, true) => format!("is not wholly in its log stream: {trouble}"),
        };
        let line = format!("{}: {} {fate}", output.name, output.stream);
        if !self.trace.lines().any(|known| known == line) {
            self.note(&line);
        }
    }

    fn note(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if !self.trace.is_empty() {
            self.trace.push('\n');
        }
        self.trace.push_str(&output::clean(text));
        self.trace = output::head(&self.trace, TRACE_LIMIT);
    }
}

const LATE: &str = "reported after the invocation had ended";

impl Change {
    fn put(&mut self, plugin: Plugin) {
        match self.plugins.iter_mut().find(|known| known.position == plugin.position) {
            Some(known) => *known = plugin,
            None => self.plugins.push(plugin),
        }
    }
}

impl Plugin {
    fn started(position: u32, name: &str, action: &str, at: Option<i64>) -> Self {
        Self {
            position,
            name: name.to_owned(),
            action: action.to_owned(),
            status: "InProgress".to_owned(),
            status_details: "InProgress".to_owned(),
            response_code: -1,
            started_at: at,
            finished_at: None,
            output: String::new(),
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    fn ended(step: &StepResult) -> Self {
        let (status, details) = status::step_words(step.status());
        Self {
            position: step.index,
            name: step.name.clone(),
            action: step.action.clone(),
            status: status.to_owned(),
            status_details: details.to_owned(),
            response_code: step.code,
            started_at: step.started_at.as_ref().map(micros),
            finished_at: step.finished_at.as_ref().map(micros),
            output: output::clean(&step.output),
            stdout: output::clean(&step.stdout),
            stderr: output::clean(&step.stderr),
        }
    }
}

/// Microseconds since 1970; a time out of range is the end of time.
pub(crate) fn micros(time: &prost_types::Timestamp) -> i64 {
    Timestamp::new(time.seconds, time.nanos).map_or(i64::MAX, |time| time.as_microsecond())
}

#[cfg(test)]
mod tests {
    use muster_proto::agent::v1::{Record, StepStarted, StepStatus};
    use muster_proto::fanout::v1::TargetState;

    use super::*;

    fn pending() -> Invocation {
        Invocation {
            status: InvocationStatus::Pending,
            requested_at: 1,
            trace: String::new(),
        }
    }

    fn news(state: TargetState, records: Vec<Fact>) -> Transition {
        Transition {
            state: state.into(),
            at: Some(prost_types::Timestamp { seconds: 5, nanos: 0 }),
            records: records
                .into_iter()
                .zip(1..)
                .map(|(fact, sequence)| Record {
                    sequence,
                    at: None,
                    fact: Some(fact),
                })
                .collect(),
            ..Transition::default()
        }
    }

    fn result(status: StepStatus) -> Fact {
        Fact::StepResult(StepResult {
            name: "one".to_owned(),
            status: status.into(),
            stdout: "hello\0".to_owned(),
            ..StepResult::default()
        })
    }

    #[test]
    fn sending_sets_the_time_of_the_invocation() {
        let mut invocation = pending();
        invocation.apply(&news(TargetState::InProgress, vec![]));
        assert_eq!(
            (invocation.status, invocation.requested_at),
            (InvocationStatus::InProgress, 5_000_000)
        );
    }

    #[test]
    fn a_step_result_replaces_its_start() {
        let mut invocation = pending();
        let started = Fact::StepStarted(muster_proto::agent::v1::StepStarted {
            name: "one".to_owned(),
            ..Default::default()
        });
        let change = invocation.apply(&news(TargetState::Success, vec![started, result(StepStatus::Success)]));
        assert_eq!(change.plugins.len(), 1);
        assert_eq!(change.plugins[0].status, "Success");
        assert_eq!(change.plugins[0].stdout, "hello\u{FFFD}");
    }

    #[test]
    fn a_step_that_awaits_a_reboot_stays_in_progress_and_says_so() {
        let mut invocation = pending();
        let step = StepStarted {
            name: "boot".to_owned(),
            ..Default::default()
        };
        let asked = Fact::RebootRequested(muster_proto::agent::v1::RebootRequested {
            step: Some(step.clone()),
            runs: 1,
        });
        let change = invocation.apply(&news(TargetState::InProgress, vec![Fact::StepStarted(step), asked]));
        assert_eq!(change.plugins[0].status, "InProgress");
        assert_eq!(invocation.status, InvocationStatus::InProgress);
        assert_eq!(
            invocation.trace,
            "boot: the node restarts and then runs this step again"
        );
    }

    #[test]
    fn a_late_result_fills_the_output_of_a_given_up_invocation_once_and_changes_no_status() {
        let mut invocation = pending();
        invocation.apply(&news(TargetState::DeliveryTimedOut, vec![]));
        let late = news(TargetState::Success, vec![result(StepStatus::Success)]);
        assert_eq!(invocation.apply(&late).plugins.len(), 1);
        assert_eq!(
            invocation.status,
            InvocationStatus::Ended(TargetOutcome::DeliveryTimedOut)
        );
        assert!(invocation.trace.contains(LATE));
        assert_eq!(invocation.apply(&late), Change::default());
        // The next step comes with the next report.
        let next = Fact::StepResult(StepResult {
            index: 1,
            name: "two".to_owned(),
            ..StepResult::default()
        });
        let change = invocation.apply(&news(TargetState::DeliveryTimedOut, vec![next]));
        assert_eq!(change.plugins.len(), 1);
    }

    #[test]
    fn the_late_fate_of_an_output_is_noted_once() {
        let mut invocation = pending();
        invocation.apply(&news(TargetState::Success, vec![result(StepStatus::Success)]));
        let stored = Fact::OutputStored(OutputStored {
            name: "one".to_owned(),
            stream: "stdout".to_owned(),
            ..OutputStored::default()
        });
        let late = news(TargetState::Success, vec![stored]);
        assert_eq!(invocation.apply(&late), Change::default());
        assert_eq!(invocation.trace, "one: stdout is stored now");
        invocation.apply(&late);
        assert_eq!(invocation.trace, "one: stdout is stored now");
        assert_eq!(invocation.status, InvocationStatus::Ended(TargetOutcome::Success));
    }

    #[test]
    fn a_repeat_of_the_end_changes_nothing() {
        let mut invocation = pending();
        let end = news(TargetState::Failed, vec![result(StepStatus::Failed)]);
        invocation.apply(&end);
        let before = invocation.clone();
        assert_eq!(invocation.apply(&end), Change::default());
        assert_eq!(invocation, before);
    }
}
