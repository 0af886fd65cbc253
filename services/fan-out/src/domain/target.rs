//! One node's part of a rollout.

use muster_model::{NodeId, TargetOutcome, Timestamp};

/// Where a target stands in the coordinator's eyes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// The work was sent and the node has not answered yet; it holds a slot.
    Sent,
    /// The work is in the node's journal; it holds a slot.
    Accepted,
    /// The node is away, silent or busy; it holds no slot.
    Parked,
    /// The node has shown itself again, or its retry time has come: it takes the next free slot, before new targets.
    Returning,
    /// Over, for good.
    Ended(TargetOutcome),
}

/// What has happened to one target; all that the store must keep of it.
/// Timers are not in it: whoever takes the rollout over asks again and starts them anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub phase: Phase,
    /// How often the work was sent.
    pub attempts: u32,
    /// How many of these sends may have reached the node: neither the broker nor the node denied them.
    pub maybe_delivered: u32,
    /// The ramp need not wait for it any more: it accepted, ended, was unreachable, busy or silent.
    pub answered: bool,
    /// It was accepted after its slot had gone to another, so that it runs beside the limit.
    pub late: bool,
    /// A cancel of this target was asked for and the node must be told until it ends.
    pub cancel_requested: bool,
    /// The last record of the run that was taken in; 0 before the first.
    pub last_sequence: u64,
}

impl Progress {
    /// Just sent for the first time.
    /// The store writes no row for this: the rollout's cursor has passed the target, and that says it.
    pub const SENT_ONCE: Self = Self {
        phase: Phase::Sent,
        attempts: 1,
        maybe_delivered: 1,
        answered: false,
        late: false,
        cancel_requested: false,
        last_sequence: 0,
    };

    /// Whether it holds one of the slots that max-concurrency limits.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        matches!(self.phase, Phase::Sent | Phase::Accepted)
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<TargetOutcome> {
        match self.phase {
            Phase::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.outcome().is_some()
    }
}

/// One node's part of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The node.
    pub node: NodeId,
    /// Set when the owner knew from the start that the node cannot be addressed: it ends so when its turn comes.
    pub refused: Option<TargetOutcome>,
    pub(super) progress: Progress,
    /// When an unanswered send counts as silence (`Sent`), or a busy node is asked again (`Parked`).
    pub(super) timer: Option<Timestamp>,
}

impl Target {
    /// What has happened to it.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }
}
