//! A rollout: one piece of work for an ordered list of nodes.

use std::collections::BTreeSet;

use muster_model::{NodeId, RolloutId, Tally, TargetOutcome, Timestamp};

use super::target::{Phase, Progress, Target};

/// What an owner asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Chosen by the owner; also the run id on the nodes.
    pub id: RolloutId,
    /// In dispatch order, each node once.
    pub targets: Vec<Planned>,
    /// How many may be in flight at once; at least one.
    pub concurrency: u32,
    /// How many counted errors are allowed before sending stops.
    pub errors_allowed: u32,
    /// When every target that is not over becomes `DeliveryTimedOut`.
    pub deadline: Timestamp,
}

/// One node of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The node.
    pub node: NodeId,
    /// Why it cannot be addressed, if so.
    pub refused: Option<TargetOutcome>,
}

/// What the store keeps beside the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// All of it was cancelled.
    pub cancelled: bool,
    /// The counted errors went over the limit.
    pub breached: bool,
    /// How far the dispatch has come: no target before this position is waiting.
    pub cursor: u32,
    /// Positions whose progress is neither "waiting" nor, before the cursor, "sent once".
    pub progress: Vec<(u32, Progress)>,
}

/// One piece of work for an ordered list of nodes, as it stands.
///
/// Everything behind `targets` and the flags only repeats what these say, so that no event has to look at all targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    pub(super) id: RolloutId,
    pub(super) concurrency: u32,
    pub(super) errors_allowed: u32,
    pub(super) deadline: Timestamp,
    pub(super) targets: Vec<Target>,
    pub(super) cancelled: bool,
    pub(super) breached: bool,

    /// No target before this position is waiting.
    pub(super) cursor: u32,
    pub(super) in_flight: u32,
    /// Those in flight that run beside the limit.
    pub(super) late: u32,
    /// Targets that were sent at least once, and those of them that the ramp need not wait for.
    pub(super) sent: u32,
    pub(super) answered: u32,
    pub(super) tally: Tally,
    pub(super) returning: BTreeSet<u32>,
    pub(super) timers: BTreeSet<(Timestamp, u32)>,
    /// Targets that are being cancelled on their nodes, and when these are told again.
    pub(super) cancelling: BTreeSet<u32>,
    pub(super) cancel_again: Option<Timestamp>,
}

impl Rollout {
    /// A new rollout; nothing happens before [`super::Event::Started`].
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self::restore(plan, &Saved::default())
    }

    /// The rollout as it was when `saved` was written, without its timers: [`super::Event::Started`] starts them anew.
    #[must_use]
    pub fn restore(plan: Plan, saved: &Saved) -> Self {
        let mut targets: Vec<Target> = plan
            .targets
            .into_iter()
            .map(|planned| Target {
                node: planned.node,
                refused: planned.refused,
                progress: Progress::default(),
                timer: None,
            })
            .collect();
        for target in targets.iter_mut().take(saved.cursor as usize) {
            target.progress = Progress::SENT_ONCE;
        }
        for (index, progress) in &saved.progress {
            if let Some(target) = targets.get_mut(*index as usize) {
                target.progress = *progress;
            }
        }
        let mut rollout = Self {
            id: plan.id,
            concurrency: plan.concurrency.max(1),
            errors_allowed: plan.errors_allowed,
            deadline: plan.deadline,
            targets,
            cancelled: saved.cancelled,
            breached: saved.breached,
            cursor: saved.cursor,
            in_flight: 0,
            late: 0,
            sent: 0,
            answered: 0,
            tally: Tally::default(),
            returning: BTreeSet::new(),
            timers: BTreeSet::new(),
            cancelling: BTreeSet::new(),
            cancel_again: None,
        };
        rollout.count();
        rollout
    }

    /// Works out what follows from the targets.
    fn count(&mut self) {
        for (index, target) in (0..).zip(&self.targets) {
            let progress = &target.progress;
            self.in_flight += u32::from(progress.is_in_flight());
            self.late += u32::from(progress.is_in_flight() && progress.late);
            self.sent += u32::from(progress.attempts > 0);
            self.answered += u32::from(progress.answered);
            if progress.phase == Phase::Returning {
                self.returning.insert(index);
            }
            match progress.outcome() {
                Some(outcome) => self.tally.add(outcome),
                None if progress.cancel_requested => {
                    self.cancelling.insert(index);
                }
                None => {}
            }
        }
    }

    /// What [`Rollout::restore`] needs to make this rollout again.
    #[must_use]
    pub fn saved(&self) -> Saved {
        let progress = (0..self.len()).filter(|index| self.needs_row(*index));
        Saved {
            cancelled: self.cancelled,
            breached: self.breached,
            cursor: self.cursor,
            progress: progress
                .map(|index| (index, self.targets[index as usize].progress))
                .collect(),
        }
    }

    /// Whether the store must keep this target's progress: plan and cursor do not say it already.
    #[must_use]
    pub fn needs_row(&self, index: u32) -> bool {
        let implied = match index < self.cursor {
            true => Progress::SENT_ONCE,
            false => Progress::default(),
        };
        self.target(index).is_some_and(|target| target.progress != implied)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RolloutId {
        self.id
    }

    /// How many may be in flight at once.
    #[must_use]
    pub fn concurrency(&self) -> u32 {
        self.concurrency
    }

    /// How many counted errors are allowed.
    #[must_use]
    pub fn errors_allowed(&self) -> u32 {
        self.errors_allowed
    }

    /// When what is not over becomes `DeliveryTimedOut`.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// The targets in dispatch order.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// One target, if there is such a position.
    #[must_use]
    pub fn target(&self, index: u32) -> Option<&Target> {
        self.targets.get(index as usize)
    }

    /// How many targets there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.targets.len()).expect("an edge check keeps the targets far below 2^32")
    }

    /// Whether there is no target at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Whether all of it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Whether the counted errors went over the limit.
    #[must_use]
    pub fn is_breached(&self) -> bool {
        self.breached
    }

    /// Whether nothing is sent any more, for good.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.cancelled || self.breached
    }

    /// Whether every target is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.tally.total() == self.len()
    }

    /// How far the dispatch has come.
    #[must_use]
    pub fn cursor(&self) -> u32 {
        self.cursor
    }

    /// How many targets have the work and are not over, or were sent it and have not been silent for long.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// How many of those in flight run beside the limit: they were accepted after their slot had gone to another.
    #[must_use]
    pub fn late(&self) -> u32 {
        self.late
    }

    /// How many targets are over, and how.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether some target waits for its node to come back.
    #[must_use]
    pub fn has_parked(&self) -> bool {
        self.targets
            .iter()
            .any(|target| matches!(target.progress.phase, Phase::Parked | Phase::Returning))
    }

    /// When [`super::Event::Tick`] is due next; `None` once all is over.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        if self.is_finished() {
            return None;
        }
        let timer = self.timers.first().map(|(due, _)| *due);
        [Some(self.deadline), timer, self.cancel_again]
            .into_iter()
            .flatten()
            .min()
    }
}
