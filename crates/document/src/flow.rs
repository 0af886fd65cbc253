//! What comes after a step, and what all steps together amount to (documents.md 4.2, run-command.md 4.2 and 10).

use crate::plan::{OnFailure, Plan};
use crate::platform::Platform;

/// How often a run may reboot its node and repeat the step that asked for it.
pub const MAX_REBOOTS: u32 = 15;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It did what it should.
    Success,
    /// It succeeded and asked to end the document (exit code 168).
    SuccessAndExit,
    /// It asked to reboot the node and to be run again (exit code 194, on Windows 3010).
    SuccessAndReboot,
    /// It failed.
    Failed,
    /// It failed and asked to end the document (exit code 169).
    FailedAndExit,
    /// It ran longer than it may.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// It did not have to run.
    Skipped,
}

impl Outcome {
    /// What a script's exit code means.
    #[must_use]
    pub fn of_exit_code(code: i32, platform: Platform) -> Self {
        match (code, platform) {
            (0, _) => Self::Success,
            (168, _) => Self::SuccessAndExit,
            (169, _) => Self::FailedAndExit,
            (194, Platform::Linux | Platform::MacOs) | (3010, Platform::Windows) => Self::SuccessAndReboot,
            _ => Self::Failed,
        }
    }

    /// The outcome of parts that ran one after the other as one step: the gravest.
    #[must_use]
    pub fn of_parts(parts: impl IntoIterator<Item = Self>) -> Self {
        parts
            .into_iter()
            .max_by_key(|outcome| outcome.gravity())
            .unwrap_or(Self::Success)
    }

    /// How much an outcome outweighs others: SuccessAndReboot > Failed > TimedOut > Cancelled > Success and Skipped.
    fn gravity(self) -> u8 {
        match self {
            Self::Skipped => 0,
            Self::Success => 1,
            Self::SuccessAndExit => 2,
            Self::Cancelled => 3,
            Self::TimedOut => 4,
            Self::Failed => 5,
            Self::FailedAndExit => 6,
            Self::SuccessAndReboot => 7,
        }
    }

    fn status(self) -> RunStatus {
        match self {
            Self::Skipped | Self::Success | Self::SuccessAndExit => RunStatus::Success,
            Self::Cancelled => RunStatus::Cancelled,
            Self::TimedOut => RunStatus::TimedOut,
            Self::Failed | Self::FailedAndExit => RunStatus::Failed,
            Self::SuccessAndReboot => RunStatus::SuccessAndReboot,
        }
    }
}

/// What a run of a document amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Every step succeeded or was skipped.
    Success,
    /// A step was cancelled.
    Cancelled,
    /// A step timed out.
    TimedOut,
    /// A step failed.
    Failed,
    /// The node must reboot now and then repeat the step that asked; to others the run is still in progress.
    SuccessAndReboot,
}

/// What to do next. Steps that were jumped over are reported as skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// Run the step at this position of [`Plan::steps`].
    Step(usize),
    /// Nothing more: this is the result.
    End(RunStatus),
}

/// Decides from the steps that ended so far, in the order they ran, what comes next.
///
/// - Without flow words the next step runs even after a failure, and the document ends as the gravest of its steps.
/// - `onFailure` and `onSuccess` say whether to stop and how *this* step counts; an earlier failure that no word forgave still counts.
/// - A step marked `finallyStep` runs after a stop as well, but not after a cancel or before a reboot.
///
/// After a reboot, call it without the record of the step that asked for it: that step is then the next one.
#[must_use]
pub fn next(plan: &Plan, ended: &[(usize, Outcome)]) -> Next {
    let steps = plan.steps();
    let mut gravest = Outcome::Skipped;
    let mut stopped = false;
    for (index, outcome) in ended {
        let (counts_as, stops) = match (outcome, steps.get(*index)) {
            (Outcome::Failed | Outcome::TimedOut, Some(step)) => match step.on_failure() {
                OnFailure::Continue => (*outcome, false),
                OnFailure::Exit => (*outcome, true),
                OnFailure::SuccessAndExit => (Outcome::Success, true),
            },
            (Outcome::Success, Some(step)) => (*outcome, step.exits_on_success()),
            (Outcome::SuccessAndExit | Outcome::FailedAndExit, _) => (*outcome, true),
            (Outcome::Cancelled | Outcome::SuccessAndReboot, _) => {
                return Next::End(Outcome::of_parts([gravest, *outcome]).status());
            }
            _ => (*outcome, false),
        };
        gravest = Outcome::of_parts([gravest, counts_as]);
        stopped |= stops;
    }
    let after = ended.last().map_or(0, |(index, _)| index + 1);
    let next = match stopped {
        false => (after < steps.len()).then_some(after),
        true => steps
            .iter()
            .skip(after)
            .position(|step| step.is_finally())
            .map(|offset| after + offset),
    };
    next.map_or(Next::End(gravest.status()), Next::Step)
}
