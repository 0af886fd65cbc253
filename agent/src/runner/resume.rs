//! What a runner does with a run it finds in the journal (agent.md B3). Pure; these rules stand nowhere else.

use muster_document::Outcome;
use muster_proto::agent::v1::{StepResult, StepStarted, StepStatus};

use crate::journal::History;

/// Where to go on.
#[derive(Debug, PartialEq)]
pub(crate) enum Start<'a> {
    /// The run is over: there is nothing to do.
    Over,
    /// It expired before it began: it never runs, and the coordinator knows that already.
    Drop,
    /// It was cancelled before this runner came; perhaps in the middle of a step whose runner died.
    Cancel(Option<&'a StepStarted>),
    /// Begin, or go on after the last step that has a result.
    Go,
    /// The runner died in the middle of this step.
    GoAfterInterruption(&'a StepStarted),
    /// As before, but the time to start further steps is over.
    EndAfterInterruption(Option<&'a StepStarted>),
    /// The node is to be booted first.
    AwaitReboot,
    /// The node will not boot for this step, and why.
    GoWithoutReboot(&'a StepStarted, &'a str),
}

/// Decides from the journal, the cancel mark, whether the deadline has passed, and the present boot.
/// After the boot that a step asked for, that step is simply the next one, because it has no result.
pub(crate) fn decide<'a>(history: &'a History, is_cancelled: bool, has_expired: bool, boot_id: &str) -> Start<'a> {
    let asked_for_reboot = history.reboot().and_then(|reboot| reboot.step.as_ref());
    let open = history.open_step().or(asked_for_reboot);
    match () {
        () if history.is_finished() => Start::Over,
        () if is_cancelled => Start::Cancel(open),
        () if has_expired && history.records.is_empty() => Start::Drop,
        () if has_expired => Start::EndAfterInterruption(open),
        () if history.awaits_reboot(boot_id) => Start::AwaitReboot,
        () => match (asked_for_reboot, &history.reboot_refused) {
            (Some(step), Some(reason)) => Start::GoWithoutReboot(step, reason),
            (Some(_), None) => Start::Go,
            (None, _) => open.map_or(Start::Go, Start::GoAfterInterruption),
        },
    }
}

/// How a step that has a result ended, for deciding what comes next.
pub(crate) fn outcome_of(result: &StepResult) -> Outcome {
    match (result.status(), result.code) {
        (StepStatus::Success, 168) => Outcome::SuccessAndExit,
        (StepStatus::Success, _) => Outcome::Success,
        (StepStatus::Failed, 169) => Outcome::FailedAndExit,
        (StepStatus::Failed | StepStatus::Unset, _) => Outcome::Failed,
        (StepStatus::TimedOut, _) => Outcome::TimedOut,
        (StepStatus::Cancelled, _) => Outcome::Cancelled,
        (StepStatus::Skipped, _) => Outcome::Skipped,
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::agent::v1::record::Fact as News;
    use muster_proto::agent::v1::{RebootRequested, Record, RunResult};

    use super::*;
    use crate::journal::{Accepted, Dropped, Fact, RebootRefused, Runner};

    fn history(news: &[News]) -> History {
        let mut history = History {
            accepted: Some(Accepted::default()),
            ..History::default()
        };
        for (position, fact) in news.iter().enumerate() {
            let sequence = position as u64 + 1;
            history.add(Fact::Record(Record {
                sequence,
                at: None,
                fact: Some(fact.clone()),
            }));
        }
        history
    }

    fn started(index: u32) -> News {
        News::StepStarted(StepStarted {
            index,
            name: format!("step{index}"),
            action: String::new(),
        })
    }

    fn ended(index: u32) -> News {
        News::StepResult(StepResult {
            index,
            ..StepResult::default()
        })
    }

    fn over() -> News {
        News::RunResult(RunResult::default())
    }

    #[test]
    fn every_crash_point_has_its_rule() {
        let open = StepStarted {
            index: 1,
            name: "step1".into(),
            action: String::new(),
        };
        let between = [started(0), ended(0)];
        let within = [started(0), ended(0), started(1)];
        let finished = [started(0), ended(0), over()];
        for (news, cancelled, expired, expected) in [
            (&[][..], false, false, Start::Go),
            (&[], false, true, Start::Drop),
            (&[], true, false, Start::Cancel(None)),
            (&[], true, true, Start::Cancel(None)),
            (&between, false, false, Start::Go),
            (&between, false, true, Start::EndAfterInterruption(None)),
            (&between, true, false, Start::Cancel(None)),
            (&within, false, false, Start::GoAfterInterruption(&open)),
            (&within, false, true, Start::EndAfterInterruption(Some(&open))),
            (&within, true, false, Start::Cancel(Some(&open))),
            (&finished, false, false, Start::Over),
            (&finished, true, true, Start::Over),
        ] {
            let history = history(news);
            assert_eq!(
                decide(&history, cancelled, expired, "this"),
                expected,
                "{news:?} {cancelled} {expired}"
            );
        }
    }

    #[test]
    fn a_step_that_asked_for_a_reboot_runs_again_after_it_and_only_then() {
        let step = StepStarted {
            index: 0,
            name: "step0".into(),
            action: String::new(),
        };
        let asked = News::RebootRequested(RebootRequested {
            step: Some(step.clone()),
            runs: 1,
        });
        let mut history = history(&[started(0), asked]);
        history.add(Fact::Runner(Runner {
            pid: 1,
            boot_id: "this".into(),
        }));
        assert_eq!(decide(&history, false, false, "this"), Start::AwaitReboot);
        assert_eq!(decide(&history, false, false, "next"), Start::Go);
        assert_eq!(decide(&history, true, false, "this"), Start::Cancel(Some(&step)));
        assert_eq!(
            decide(&history, false, true, "next"),
            Start::EndAfterInterruption(Some(&step))
        );
        assert_eq!(history.runs_of(0), 1);
        history.add(Fact::RebootRefused(RebootRefused { reason: "no".into() }));
        assert_eq!(
            decide(&history, false, false, "this"),
            Start::GoWithoutReboot(&step, "no")
        );
    }

    #[test]
    fn a_dropped_run_stays_dropped() {
        let mut history = history(&[]);
        history.add(Fact::Dropped(Dropped { at_us: 1 }));
        assert_eq!(decide(&history, false, false, ""), Start::Over);
        assert_eq!(decide(&history, true, false, ""), Start::Over);
    }

    #[test]
    fn a_result_keeps_what_its_code_asked_for() {
        let result = |status: StepStatus, code| {
            outcome_of(&StepResult {
                status: status.into(),
                code,
                ..StepResult::default()
            })
        };
        assert_eq!(result(StepStatus::Success, 168), Outcome::SuccessAndExit);
        assert_eq!(result(StepStatus::Failed, 169), Outcome::FailedAndExit);
        assert_eq!(result(StepStatus::Failed, 1), Outcome::Failed);
        assert_eq!(result(StepStatus::TimedOut, 137), Outcome::TimedOut);
    }
}
