//! What happened to a rollout, in few bytes: kept for whoever checks it against the laws ([`super::verify`]).

use muster_model::{TargetOutcome, Timestamp};

use super::event::{Effect, Event, Recipients, TargetState};
use super::rollout::Rollout;
use super::target::Phase;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// A coordinator took the rollout up; detail: its fence.
    TakenUp,
    /// The work was sent; detail: which attempt, from 1.
    Sent,
    /// The node has the work.
    Accepted,
    /// The node is away, silent or busy, and holds no slot.
    Parked,
    /// Records of the run came; detail: the sequence of the last.
    Reported,
    /// The target is over.
    Ended(TargetOutcome),
    /// The owner cancelled the whole rollout, or all of it that nodes do not have.
    Cancelled,
    /// The owner cancelled this target.
    TargetCancelled,
    /// The node was told to stop.
    CancelSent,
    /// The errors went over the limit.
    Breached,
    /// What follows was not written down any more.
    Cut,
}

/// One line of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub what: Happening,
    /// To whom, by position; 0 for what concerns the whole rollout.
    pub target: u32,
    /// See [`Happening`]; 0 otherwise.
    pub detail: u64,
}

/// What was written in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// When the coordinator decided it.
    pub at: Timestamp,
    /// In order.
    pub entries: Vec<Entry>,
}

/// What an event can change, as it was before.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    phase: Option<Phase>,
    last_sequence: u64,
    is_breached: bool,
}

impl Before {
    /// To be taken before the event is applied.
    #[must_use]
    pub fn of(rollout: &Rollout, event: &Event) -> Self {
        let target = index_of(event).and_then(|index| rollout.target(index));
        Self {
            phase: target.map(|target| target.progress().phase),
            last_sequence: target.map_or(0, |target| target.progress().last_sequence),
            is_breached: rollout.is_breached(),
        }
    }

    /// Adds what the event brought about, in the order in which it happened.
    /// `fence` names the coordinator's hold on the rollout.
    pub fn tell(
        self,
        event: &Event,
        now: Timestamp,
        fence: u64,
        rollout: &Rollout,
        effects: &[Effect],
        entries: &mut Vec<Entry>,
    ) {
        let mut add = |what, target, detail| entries.push(Entry { what, target, detail });
        match event {
            Event::Started => add(Happening::TakenUp, 0, fence),
            Event::Cancelled(Recipients::All | Recipients::Unsent) => add(Happening::Cancelled, 0, 0),
            Event::Cancelled(Recipients::Some(indexes)) => {
                for index in indexes {
                    add(Happening::TargetCancelled, *index, 0);
                }
            }
            _ => {}
        }
        let was_open = matches!(self.phase, Some(Phase::Sent | Phase::Parked | Phase::Returning));
        let tells_of_work = matches!(
            event,
            Event::Accepted { .. } | Event::Replied { .. } | Event::Present { has_run: true, .. }
        );
        if let Some(index) = index_of(event) {
            if was_open && tells_of_work && now < rollout.deadline() {
                add(Happening::Accepted, index, 0);
            }
            let last = rollout
                .target(index)
                .map_or(0, |target| target.progress().last_sequence);
            if last > self.last_sequence {
                add(Happening::Reported, index, last);
            }
        }
        let was_over = matches!(self.phase, Some(Phase::Ended(_)));
        for effect in effects {
            match effect {
                Effect::Send { index, attempt } => add(Happening::Sent, *index, u64::from(*attempt)),
                Effect::SendCancel { index } => add(Happening::CancelSent, *index, 0),
                Effect::Tell { index, state, .. } => match state {
                    // News of a run that is over already are no second end.
                    TargetState::Ended(_) if was_over && index_of(event) == Some(*index) => {}
                    TargetState::Ended(outcome) => add(Happening::Ended(*outcome), *index, 0),
                    TargetState::Delayed => add(Happening::Parked, *index, 0),
                    TargetState::Pending | TargetState::InProgress => {}
                },
            }
        }
        if rollout.is_breached() && !self.is_breached {
            add(Happening::Breached, 0, 0);
        }
    }
}

/// The target that an event is about.
fn index_of(event: &Event) -> Option<u32> {
    match event {
        Event::Accepted { index }
        | Event::Busy { index, .. }
        | Event::RefusedByNode { index, .. }
        | Event::Unreachable { index, .. }
        | Event::Present { index, .. }
        | Event::Replied { index, .. } => Some(*index),
        Event::Started | Event::Cancelled(_) | Event::Tick => None,
    }
}
