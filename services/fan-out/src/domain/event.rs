//! What can happen to a rollout, and what can follow.
//! Targets are named by their position in the dispatch order, from 0.

use std::fmt;

use muster_model::{SignedDuration, TargetOutcome};

use super::target::Phase;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The rollout is in this coordinator's hands: newly accepted, or loaded after a restart or a take-over.
    Started,
    /// The node has the work in its journal.
    Accepted {
        /// Whose.
        index: u32,
    },
    /// The node's queue is full; the work is not in its journal.
    Busy {
        /// Whose.
        index: u32,
        /// When the node wants to be asked again.
        retry_after: SignedDuration,
    },
    /// The node will not run the work: it lacks an ability, or holds the work for expired.
    RefusedByNode {
        /// Whose.
        index: u32,
        /// The node's words.
        reason: String,
    },
    /// Nobody listened on the node's subject.
    Unreachable {
        /// Whose.
        index: u32,
        /// Which sending.
        attempt: u32,
    },
    /// The node has shown itself and asks for its work.
    Present {
        /// Whose.
        index: u32,
        /// Whether the node lists this run in its journal.
        has_run: bool,
    },
    /// The node reported on its run.
    Replied {
        /// Whose.
        index: u32,
        /// What it reported.
        report: Report,
    },
    /// The owner wants it stopped.
    Cancelled(Recipients),
    /// Time has passed; sent when [`super::Rollout::next_wake`] has come, harmless at any other time.
    Tick,
}

/// The part of a node's report that decides anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The sequence of the first record; those between it and the last are all there.
    pub first: u64,
    /// The sequence of the last record.
    pub last: u64,
    /// How the run ended, if one of the records says so.
    pub end: Option<TargetOutcome>,
}

/// Whom a cancel is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipients {
    /// The whole rollout: nothing more is sent.
    All,
    /// Some targets; the others go on.
    Some(Vec<u32>),
    /// The whole rollout, but what nodes may have already goes on.
    Unsent,
}

/// What an owner is told of a target: the phase without the coordinator's private matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// Not sent yet.
    Pending,
    /// Sent, or running.
    InProgress,
    /// The node is away, silent or busy; it gets the work when it comes back.
    Delayed,
    /// Over.
    Ended(TargetOutcome),
}

impl From<Phase> for TargetState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Waiting => Self::Pending,
            Phase::Sent | Phase::Accepted => Self::InProgress,
            Phase::Parked | Phase::Returning => Self::Delayed,
            Phase::Ended(outcome) => Self::Ended(outcome),
        }
    }
}

/// Something to do, once the step that wants it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send the work to the node.
    Send {
        /// To whom.
        index: u32,
        /// Which sending this is, from 1.
        attempt: u32,
    },
    /// Tell the node to stop the run, also one that it has not seen.
    SendCancel {
        /// To whom.
        index: u32,
    },
    /// Tell the owner.
    Tell {
        /// About whom.
        index: u32,
        /// The state from now on.
        state: TargetState,
        /// Why, where that is not plain.
        note: Option<Note>,
        /// News for the owner: those records of the reply that come after this sequence.
        records_after: Option<u64>,
    },
}

/// Why a target is where it is, for the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Nobody listened on the node's subject.
    NotConnected,
    /// No answer within the ack interval.
    Silent,
    /// The node's queue is full.
    Busy,
    /// The node will not run the work, in its own words.
    Refused(String),
    /// Never sent, since too many others had failed.
    TooManyErrors,
    /// Never sent, since it was cancelled before.
    CancelledBeforeSending,
    /// The deadline has passed.
    DeadlinePassed,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("the node is not connected; it gets the work when it comes back"),
            Self::Silent => f.write_str("the node has not answered; it is asked again when it shows itself"),
            Self::Busy => f.write_str("the node's queue is full; it is asked again"),
            Self::Refused(reason) => write!(f, "the node refused the work: {reason}"),
            Self::TooManyErrors => f.write_str("not sent: more targets failed than max-errors allows"),
            Self::CancelledBeforeSending => f.write_str("cancelled before it was sent"),
            Self::DeadlinePassed => f.write_str("no final report came before the deadline"),
        }
    }
}

/// What follows from one or several steps.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// To be done in this order.
    pub acts: Vec<Effect>,
    /// Targets whose [`super::Progress`] is to be stored; may name one twice.
    pub changed: Vec<u32>,
}
