//! The words in which users see where an invocation stands (run-command 4.1), and how the coordinator's map to them.

use muster_model::TargetOutcome;
use muster_proto::agent::v1::{RunStatus, StepStatus};
use muster_proto::fanout::v1::TargetState;

/// Where an invocation stands. `StatusDetails` is its word, `Status` the coarser one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvocationStatus {
    Pending,
    InProgress,
    Delayed,
    Ended(TargetOutcome),
}

impl InvocationStatus {
    /// What the coordinator says.
    pub(crate) fn of(state: TargetState) -> Option<Self> {
        Some(match state {
            TargetState::Unset => return None,
            TargetState::Pending => Self::Pending,
            TargetState::InProgress => Self::InProgress,
            TargetState::Delayed => Self::Delayed,
            TargetState::Success => Self::Ended(TargetOutcome::Success),
            TargetState::Failed => Self::Ended(TargetOutcome::Failed),
            TargetState::ExecutionTimedOut => Self::Ended(TargetOutcome::ExecutionTimedOut),
            TargetState::Cancelled => Self::Ended(TargetOutcome::Cancelled),
            TargetState::DeliveryTimedOut => Self::Ended(TargetOutcome::DeliveryTimedOut),
            TargetState::Undeliverable => Self::Ended(TargetOutcome::Undeliverable),
            TargetState::InvalidPlatform => Self::Ended(TargetOutcome::InvalidPlatform),
            TargetState::AccessDenied => Self::Ended(TargetOutcome::AccessDenied),
            TargetState::Terminated => Self::Ended(TargetOutcome::Terminated),
        })
    }

    /// `Status`.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Delayed => "Delayed",
            Self::Ended(outcome) => match outcome {
                TargetOutcome::Success => "Success",
                TargetOutcome::ExecutionTimedOut | TargetOutcome::DeliveryTimedOut => "TimedOut",
                TargetOutcome::Cancelled | TargetOutcome::Terminated => "Cancelled",
                TargetOutcome::Failed
                | TargetOutcome::Undeliverable
                | TargetOutcome::InvalidPlatform
                | TargetOutcome::AccessDenied => "Failed",
            },
        }
    }

    /// `StatusDetails`, which tells all of them apart and is what is stored.
    pub(crate) fn details(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Delayed => "Delayed",
            Self::Ended(outcome) => match outcome {
                TargetOutcome::Success => "Success",
                TargetOutcome::Failed => "Failed",
                TargetOutcome::ExecutionTimedOut => "ExecutionTimedOut",
                TargetOutcome::Cancelled => "Cancelled",
                TargetOutcome::DeliveryTimedOut => "DeliveryTimedOut",
                TargetOutcome::Undeliverable => "Undeliverable",
                TargetOutcome::InvalidPlatform => "InvalidPlatform",
                TargetOutcome::AccessDenied => "AccessDenied",
                TargetOutcome::Terminated => "Terminated",
            },
        }
    }

    /// Reads what [`InvocationStatus::details`] wrote.
    pub(crate) fn from_details(details: &str) -> Option<Self> {
        let open = [Self::Pending, Self::InProgress, Self::Delayed];
        let ended = TargetOutcome::ALL.into_iter().map(Self::Ended);
        open.into_iter().chain(ended).find(|status| status.details() == details)
    }

    /// Nothing changes it any more.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

/// `Status` and `StatusDetails` of a step that ended.
pub(crate) fn step_words(status: StepStatus) -> (&'static str, &'static str) {
    match status {
        // The surface has no word of its own for a skipped step, which counts as a success.
        StepStatus::Success | StepStatus::Skipped => ("Success", "Success"),
        StepStatus::Failed | StepStatus::Unset => ("Failed", "Failed"),
        StepStatus::TimedOut => ("TimedOut", "ExecutionTimedOut"),
        StepStatus::Cancelled => ("Cancelled", "Cancelled"),
    }
}

/// The word for how a node says a run ended, for notes about late reports.
pub(crate) fn run_word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Success => "Success",
        RunStatus::TimedOut => "ExecutionTimedOut",
        RunStatus::Cancelled => "Cancelled",
        RunStatus::Failed | RunStatus::Unset => "Failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_back_from_its_details() {
        let ended = TargetOutcome::ALL.into_iter().map(InvocationStatus::Ended);
        let open = [
            InvocationStatus::Pending,
            InvocationStatus::InProgress,
            InvocationStatus::Delayed,
        ];
        for status in open.into_iter().chain(ended) {
            assert_eq!(InvocationStatus::from_details(status.details()), Some(status));
        }
    }

    #[test]
    fn timeouts_and_terminations_have_the_coarse_words_of_the_spec() {
        let check = |outcome, status| assert_eq!(InvocationStatus::Ended(outcome).status(), status);
        check(TargetOutcome::DeliveryTimedOut, "TimedOut");
        check(TargetOutcome::ExecutionTimedOut, "TimedOut");
        check(TargetOutcome::Terminated, "Cancelled");
        check(TargetOutcome::Undeliverable, "Failed");
    }
}
