//! How a target and a whole command end (schedules-and-rate-control 7.2 and 7.3, run-command 4).

/// How one target ended. Final: nothing changes it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetOutcome {
    /// Every step succeeded or was skipped.
    Success,
    /// A step failed, or the document could not run.
    Failed,
    /// A step ran longer than its execution timeout.
    ExecutionTimedOut,
    /// Stopped by a cancel request.
    Cancelled,
    /// No final report came before the deadline.
    DeliveryTimedOut,
    /// The node does not exist or cannot be addressed.
    Undeliverable,
    /// The document does not support the node's platform.
    InvalidPlatform,
    /// The caller may not address the node.
    AccessDenied,
    /// Never sent, because too many others had failed.
    Terminated,
}

impl TargetOutcome {
    /// Every outcome, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Failed,
        Self::ExecutionTimedOut,
        Self::Cancelled,
        Self::DeliveryTimedOut,
        Self::Undeliverable,
        Self::InvalidPlatform,
        Self::AccessDenied,
        Self::Terminated,
    ];

    /// Whether it counts towards max-errors: only what went wrong on the node itself does.
    #[must_use]
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Failed | Self::ExecutionTimedOut)
    }
}

/// How many targets ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally([u32; TargetOutcome::ALL.len()]);

impl Tally {
    /// Counts one more target.
    pub fn add(&mut self, outcome: TargetOutcome) {
        self.add_many(outcome, 1);
    }

    /// Counts `targets` more of them.
    pub fn add_many(&mut self, outcome: TargetOutcome, targets: u32) {
        self.0[outcome as usize] += targets;
    }

    /// How many ended with `outcome`.
    #[must_use]
    pub fn of(&self, outcome: TargetOutcome) -> u32 {
        self.0[outcome as usize]
    }

    /// How many ended at all.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// How many count towards max-errors.
    #[must_use]
    pub fn errors(&self) -> u32 {
        self.of(TargetOutcome::Failed) + self.of(TargetOutcome::ExecutionTimedOut)
    }
}

impl FromIterator<TargetOutcome> for Tally {
    fn from_iter<I: IntoIterator<Item = TargetOutcome>>(outcomes: I) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            tally.add(outcome);
        }
        tally
    }
}

/// How a whole command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandOutcome {
    /// Some target succeeded and none failed or went missing.
    Success,
    /// More errors than allowed, or not one success.
    Failed,
    /// More errors than allowed, and every one of them an execution timeout.
    ExecutionTimedOut,
    /// More targets than allowed did not report in time.
    DeliveryTimedOut,
    /// The user cancelled it.
    Cancelled,
    /// Some succeeded, some did not, within what was allowed.
    Incomplete,
    /// There was no target.
    NoInstancesInTag,
}

impl CommandOutcome {
    /// Judges a command whose every target has ended (schedules-and-rate-control 7.3, refined by run-command 4.3).
    /// `cancelled` means that the user cancelled all of it, not single nodes.
    #[must_use]
    pub fn judge(tally: &Tally, errors_allowed: u32, cancelled: bool) -> Self {
        let errors = tally.errors();
        let missing = tally.of(TargetOutcome::DeliveryTimedOut);
        if cancelled {
            Self::Cancelled
        } else if tally.total() == 0 {
            Self::NoInstancesInTag
        } else if errors > errors_allowed {
            if tally.of(TargetOutcome::Failed) == 0 {
                Self::ExecutionTimedOut
            } else {
                Self::Failed
            }
        } else if missing > errors_allowed {
            Self::DeliveryTimedOut
        } else if tally.of(TargetOutcome::Success) == 0 {
            Self::Failed
        } else if errors == 0 && missing == 0 {
            Self::Success
        } else {
            Self::Incomplete
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TargetOutcome as T;

    fn check(targets: &[(TargetOutcome, u32)], errors_allowed: u32, expected: CommandOutcome) {
        let mut tally = Tally::default();
        for (outcome, count) in targets {
            tally.add_many(*outcome, *count);
        }
        assert_eq!(
            CommandOutcome::judge(&tally, errors_allowed, false),
            expected,
            "{targets:?} with {errors_allowed} allowed"
        );
    }

    #[test]
    fn only_errors_of_the_node_itself_are_counted() {
        let counted: Vec<_> = T::ALL.into_iter().filter(|outcome| outcome.is_counted()).collect();
        assert_eq!(counted, [T::Failed, T::ExecutionTimedOut]);
        for outcome in T::ALL {
            assert_eq!(Tally::from_iter([outcome]).errors(), u32::from(outcome.is_counted()));
        }
    }

    #[test]
    fn every_outcome_has_its_own_place_in_the_tally() {
        let tally: Tally = T::ALL.into_iter().collect();
        assert_eq!(tally.total(), 9);
        for outcome in T::ALL {
            assert_eq!(tally.of(outcome), 1, "{outcome:?}");
        }
    }

    #[test]
    fn commands_end_as_the_spec_says() {
        use CommandOutcome as C;
        check(&[], 0, C::NoInstancesInTag);
        check(&[(T::Success, 10)], 0, C::Success);
        check(&[(T::Success, 9), (T::Failed, 1)], 0, C::Failed);
        check(&[(T::Success, 9), (T::Failed, 1)], 1, C::Incomplete);
        check(&[(T::Success, 5), (T::Failed, 2), (T::Terminated, 3)], 1, C::Failed);
        check(
            &[(T::Success, 5), (T::ExecutionTimedOut, 1), (T::Terminated, 4)],
            0,
            C::ExecutionTimedOut,
        );
        check(
            &[(T::Success, 5), (T::ExecutionTimedOut, 1), (T::Failed, 1)],
            0,
            C::Failed,
        );
        check(&[(T::Failed, 10)], 10, C::Failed);
        check(&[(T::Success, 1), (T::Undeliverable, 4)], 0, C::Success);
        check(&[(T::Undeliverable, 5)], 0, C::Failed);
        check(&[(T::Success, 4), (T::DeliveryTimedOut, 1)], 0, C::DeliveryTimedOut);
        check(&[(T::Success, 4), (T::DeliveryTimedOut, 1)], 2, C::Incomplete);
        check(&[(T::Success, 1), (T::Cancelled, 1)], 0, C::Success);
        check(
            &[(T::Success, 1), (T::AccessDenied, 1), (T::InvalidPlatform, 1)],
            0,
            C::Success,
        );
    }

    #[test]
    fn a_cancel_by_the_user_outweighs_everything() {
        let tally: Tally = [T::Failed, T::Success].into_iter().collect();
        assert_eq!(CommandOutcome::judge(&tally, 0, true), CommandOutcome::Cancelled);
        assert_eq!(
            CommandOutcome::judge(&Tally::default(), 0, true),
            CommandOutcome::Cancelled
        );
    }
}
