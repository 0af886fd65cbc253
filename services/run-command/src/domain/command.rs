//! A command: what is counted over its invocations, and the status that follows from it (run-command 4.3).

use muster_model::{CommandOutcome, Tally, TargetOutcome};

use crate::domain::event::Event;
use crate::domain::status::InvocationStatus;

/// What is counted over the invocations of a command, and what its status depends on besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) targets: u32,
    pub(crate) in_progress: u32,
    pub(crate) success: u32,
    pub(crate) failed: u32,
    pub(crate) execution_timed_out: u32,
    pub(crate) delivery_timed_out: u32,
    /// Ended in any other way: cancelled, terminated, not addressable.
    pub(crate) other: u32,
    /// Errors that are allowed.
    pub(crate) errors_allowed: u32,
    /// The user cancelled the whole command.
    pub(crate) cancelled: bool,
}

/// `Status` and `StatusDetails` of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommandStatus {
    pub(crate) status: &'static str,
    pub(crate) details: &'static str,
    /// Nothing changes it any more.
    pub(crate) finished: bool,
}

impl CommandStatus {
    /// The quota of pending invocations was used up before any node got the command. AWS writes it `RateExceeded` in
    /// prose and `LimitExceeded` in filters.
    const LIMIT_EXCEEDED: Self = Self {
        status: "Failed",
        details: "LimitExceeded",
        finished: true,
    };

    /// Stopped before any node got it, or while it went on.
    pub(crate) const CANCELLED: Self = Self {
        status: "Cancelled",
        details: "Cancelled",
        finished: true,
    };

    /// That the command has this status now.
    pub(crate) fn event(self, command_id: &str, at: i64) -> Event {
        Event {
            command_id: command_id.to_owned(),
            node_id: None,
            status: self.status.to_owned(),
            details: self.details.to_owned(),
            at,
        }
    }
}

/// How many more invocations may be pending, which means neither running nor ended (run-command 4.1, `RateExceeded`).
#[derive(Debug)]
pub(crate) struct Quota(u64);

impl Quota {
    /// `most` in all, of which `pending` are used.
    pub(crate) fn new(most: u64, pending: u64) -> Self {
        Self(most.saturating_sub(pending))
    }

    /// Where a new command stands: as its targets say, or it is over, since there is no room for all of them.
    pub(crate) fn judge(&mut self, progress: &Progress) -> CommandStatus {
        match self.0.checked_sub(u64::from(progress.targets)) {
            Some(left) => {
                self.0 = left;
                progress.status()
            }
            None => CommandStatus::LIMIT_EXCEEDED,
        }
    }
}

impl Progress {
    /// A command of which nothing has been sent.
    pub(crate) fn new(targets: u32, errors_allowed: u32) -> Self {
        Self {
            targets,
            errors_allowed,
            ..Self::default()
        }
    }

    /// Moves one invocation from one status to another.
    pub(crate) fn moved(&mut self, from: InvocationStatus, to: InvocationStatus) {
        if let Some(count) = self.counter(from) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.counter(to) {
            *count += 1;
        }
    }

    fn counter(&mut self, status: InvocationStatus) -> Option<&mut u32> {
        match status {
            InvocationStatus::Pending | InvocationStatus::Delayed => None,
            InvocationStatus::InProgress => Some(&mut self.in_progress),
            InvocationStatus::Ended(outcome) => Some(match outcome {
                TargetOutcome::Success => &mut self.success,
                TargetOutcome::Failed => &mut self.failed,
                TargetOutcome::ExecutionTimedOut => &mut self.execution_timed_out,
                TargetOutcome::DeliveryTimedOut => &mut self.delivery_timed_out,
                _ => &mut self.other,
            }),
        }
    }

    /// `CompletedCount`: invocations that ended, however.
    pub(crate) fn completed(&self) -> u32 {
        self.success + self.failed + self.execution_timed_out + self.delivery_timed_out + self.other
    }

    /// `ErrorCount`.
    pub(crate) fn errors(&self) -> u32 {
        self.failed + self.execution_timed_out
    }

    /// Where the command stands.
    pub(crate) fn status(&self) -> CommandStatus {
        let open = |word| CommandStatus {
            status: word,
            details: word,
            finished: false,
        };
        if self.completed() < self.targets {
            return if self.cancelled {
                open("Cancelling")
            } else if self.completed() == 0 && self.in_progress == 0 {
                open("Pending")
            } else {
                open("InProgress")
            };
        }
        let mut tally = Tally::default();
        tally.add_many(TargetOutcome::Success, self.success);
        tally.add_many(TargetOutcome::Failed, self.failed);
        tally.add_many(TargetOutcome::ExecutionTimedOut, self.execution_timed_out);
        tally.add_many(TargetOutcome::DeliveryTimedOut, self.delivery_timed_out);
        tally.add_many(TargetOutcome::Terminated, self.other);
        let (status, details) = match CommandOutcome::judge(&tally, self.errors_allowed, self.cancelled) {
            CommandOutcome::Success => ("Success", "Success"),
            CommandOutcome::Failed => ("Failed", "Failed"),
            CommandOutcome::ExecutionTimedOut => ("TimedOut", "ExecutionTimedOut"),
            CommandOutcome::DeliveryTimedOut => ("TimedOut", "DeliveryTimedOut"),
            CommandOutcome::Cancelled => ("Cancelled", "Cancelled"),
            CommandOutcome::Incomplete => ("Failed", "Incomplete"),
            CommandOutcome::NoInstancesInTag => ("Success", "NoInstancesInTag"),
        };
        CommandStatus {
            status,
            details,
            finished: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(progress: Progress, expected: (&str, &str, bool)) {
        let got = progress.status();
        assert_eq!((got.status, got.details, got.finished), expected, "{progress:?}");
    }

    #[test]
    fn the_status_follows_from_the_counters() {
        let ten = Progress::new(10, 0);
        check(ten, ("Pending", "Pending", false));
        check(Progress { in_progress: 1, ..ten }, ("InProgress", "InProgress", false));
        check(Progress { success: 1, ..ten }, ("InProgress", "InProgress", false));
        check(
            Progress {
                success: 1,
                cancelled: true,
                ..ten
            },
            ("Cancelling", "Cancelling", false),
        );
        check(Progress { success: 10, ..ten }, ("Success", "Success", true));
        check(
            Progress {
                success: 9,
                failed: 1,
                ..ten
            },
            ("Failed", "Failed", true),
        );
        check(
            Progress {
                success: 9,
                execution_timed_out: 1,
                ..ten
            },
            ("TimedOut", "ExecutionTimedOut", true),
        );
        check(
            Progress {
                success: 9,
                delivery_timed_out: 1,
                ..ten
            },
            ("TimedOut", "DeliveryTimedOut", true),
        );
        check(
            Progress {
                success: 9,
                failed: 1,
                errors_allowed: 1,
                ..ten
            },
            ("Failed", "Incomplete", true),
        );
        check(
            Progress {
                success: 3,
                other: 7,
                cancelled: true,
                ..ten
            },
            ("Cancelled", "Cancelled", true),
        );
        check(
            Progress {
                success: 1,
                other: 9,
                ..ten
            },
            ("Success", "Success", true),
        );
        check(Progress { other: 10, ..ten }, ("Failed", "Failed", true));
        check(Progress::new(0, 0), ("Success", "NoInstancesInTag", true));
    }

    #[test]
    fn a_command_is_over_if_the_quota_has_no_room_for_all_of_its_targets() {
        let mut quota = Quota::new(10, 4);
        let mut judge = |targets| quota.judge(&Progress::new(targets, 0)).details;
        assert_eq!(judge(5), "Pending");
        assert_eq!(judge(2), "LimitExceeded");
        // What was refused takes no room.
        assert_eq!(judge(1), "Pending");
        assert_eq!(judge(1), "LimitExceeded");
        assert_eq!(judge(0), "NoInstancesInTag");
        assert_eq!(Quota::new(1, 5).judge(&Progress::new(1, 0)).details, "LimitExceeded");
    }

    fn any_status() -> impl Strategy<Value = InvocationStatus> {
        let open = prop_oneof![
            Just(InvocationStatus::Pending),
            Just(InvocationStatus::InProgress),
            Just(InvocationStatus::Delayed)
        ];
        let ended = (0..TargetOutcome::ALL.len()).prop_map(|at| InvocationStatus::Ended(TargetOutcome::ALL[at]));
        prop_oneof![open, ended]
    }

    proptest! {
        #[test]
        fn counters_are_what_counting_again_gives(moves in prop::collection::vec((0_usize..5, any_status()), 0..40)) {
            let mut nodes = [InvocationStatus::Pending; 5];
            let mut progress = Progress::new(5, 0);
            for (node, to) in moves {
                if !nodes[node].is_final() {
                    progress.moved(nodes[node], to);
                    nodes[node] = to;
                }
            }
            let count = |wanted: fn(&InvocationStatus) -> bool| {
                u32::try_from(nodes.iter().filter(|status| wanted(status)).count()).unwrap()
            };
            prop_assert_eq!(progress.completed(), count(|status| status.is_final()));
            prop_assert_eq!(progress.in_progress, count(|status| *status == InvocationStatus::InProgress));
            prop_assert_eq!(progress.status().finished, progress.completed() == 5);
        }
    }
}
