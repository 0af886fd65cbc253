//! The rollouts that this replica works on, in memory.

use std::collections::{BTreeSet, HashMap, HashSet};

use muster_model::{NodeId, RolloutId, Timestamp};
use muster_proto::agent::v1::Record;
use muster_proto::fanout::v1::{TagSelector, Transition};

use super::delivery::Parcel;
use super::metrics::Metrics;
use super::teller::Tenure;
use crate::contract::{Order, state, wire_time};
use crate::domain::history::Before;
use crate::domain::{Effect, Effects, Event, Note, Rollout, step};
use crate::work::diary::Diary;

/// A rollout with what belongs to it, and what follows from events since the last commit.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) rollout: Rollout,
    pub(crate) owner: String,
    pub(crate) tags: Vec<TagSelector>,
    pub(crate) parcel: Parcel,
    pub(crate) fence: i64,
    pub(crate) tenure: Tenure,
    /// Sequence of the last outbox entry.
    pub(crate) told: i64,
    /// Outbox entries that the owner has not taken.
    pub(crate) untold: HashSet<i64>,
    /// Targets that changed since the last commit; may name one twice.
    pub(crate) changed: Vec<u32>,
    /// Targets that have only been accepted since they were sent, which need not be stored at once.
    pub(crate) accepted: Vec<u32>,
    /// What the owner is to be told.
    pub(crate) transitions: Vec<Transition>,
    /// What is to go out after the commit, in this order.
    pub(crate) acts: Vec<Act>,
    /// What happened since the last commit.
    pub(crate) diary: Diary,
    /// The wake-up time that is noted for it.
    wake: Option<Timestamp>,
}

/// Something that goes to a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Send { index: u32, attempt: u32 },
    Cancel { index: u32 },
}

impl Held {
    pub(crate) fn new(order: Order, traceparent: &str, fence: i64, rollout: impl FnOnce(Order) -> Rollout) -> Self {
        let (owner, tags) = (order.owner.clone(), order.tags.clone());
        let parcel = Parcel::new(order.work.clone(), traceparent);
        let rollout = rollout(order);
        Self {
            diary: Diary::new(rollout.len()),
            rollout,
            owner,
            tags,
            parcel,
            fence,
            tenure: Tenure::new(),
            told: 0,
            untold: HashSet::new(),
            changed: Vec::new(),
            accepted: Vec::new(),
            transitions: Vec::new(),
            acts: Vec::new(),
            wake: None,
        }
    }

    /// Applies an event; `records` are the news that came with it.
    pub(crate) fn apply(&mut self, event: &Event, records: Vec<Record>, now: Timestamp, metrics: &Metrics) {
        let mut records = records;
        let mut effects = Effects::default();
        let before = Before::of(&self.rollout, event);
        step(&mut self.rollout, event, now, &mut effects);
        let fence = u64::try_from(self.fence).unwrap_or_default();
        self.diary.write(now, |entries| {
            before.tell(event, now, fence, &self.rollout, &effects.acts, entries);
        });
        self.changed.append(&mut effects.changed);
        for effect in effects.acts {
            metrics.count(&effect);
            match effect {
                Effect::Send { index, attempt } => self.acts.push(Act::Send { index, attempt }),
                Effect::SendCancel { index } => self.acts.push(Act::Cancel { index }),
                Effect::Tell {
                    index,
                    state: new,
                    note,
                    records_after,
                } => {
                    let mut records = match records_after {
                        Some(_) => std::mem::take(&mut records),
                        None => Vec::new(),
                    };
                    records.retain(|record| records_after.is_some_and(|known| record.sequence > known));
                    let transition = Transition {
                        state: state(new).into(),
                        records,
                        note: note.as_ref().map(Note::to_string).unwrap_or_default(),
                        ..self.transition(index, now)
                    };
                    self.transitions.push(transition);
                }
            }
        }
    }

    fn transition(&self, index: u32, now: Timestamp) -> Transition {
        Transition {
            rollout_id: self.rollout.id().to_string(),
            node_id: self.rollout.targets()[index as usize].node.to_string(),
            at: Some(wire_time(now)),
            ..Transition::default()
        }
    }

    /// Whether every target is over and the owner knows it all.
    pub(crate) fn is_settled(&self) -> bool {
        self.rollout.is_finished() && self.untold.is_empty() && self.transitions.is_empty()
    }
}

/// The rollouts that this replica works on.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    rollouts: HashMap<RolloutId, Held>,
    /// Where each node stands in them.
    places: HashMap<NodeId, Vec<(RolloutId, u32)>>,
    wakes: BTreeSet<(Timestamp, RolloutId)>,
}

impl Holdings {
    pub(crate) fn len(&self) -> usize {
        self.rollouts.len()
    }

    pub(crate) fn ids(&self) -> Vec<RolloutId> {
        self.rollouts.keys().copied().collect()
    }

    pub(crate) fn has(&self, id: RolloutId) -> bool {
        self.rollouts.contains_key(&id)
    }

    pub(crate) fn get(&self, id: RolloutId) -> Option<&Held> {
        self.rollouts.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: RolloutId) -> Option<&mut Held> {
        self.rollouts.get_mut(&id)
    }

    pub(crate) fn add(&mut self, held: Held) {
        let id = held.rollout.id();
        for (index, target) in (0..).zip(held.rollout.targets()) {
            match self.places.get_mut(&target.node) {
                Some(places) => places.push((id, index)),
                None => {
                    self.places.insert(target.node.clone(), vec![(id, index)]);
                }
            }
        }
        self.rollouts.insert(id, held);
    }

    /// Forgets a rollout: it is settled, or not this replica's any more.
    pub(crate) fn remove(&mut self, id: RolloutId) {
        let Some(held) = self.rollouts.remove(&id) else {
            return;
        };
        held.tenure.end();
        if let Some(wake) = held.wake {
            self.wakes.remove(&(wake, id));
        }
        for target in held.rollout.targets() {
            if let Some(places) = self.places.get_mut(&target.node) {
                places.retain(|(rollout, _)| *rollout != id);
                if places.is_empty() {
                    self.places.remove(&target.node);
                }
            }
        }
    }

    /// Where a node stands in one rollout.
    pub(crate) fn index_of(&self, id: RolloutId, node: &NodeId) -> Option<u32> {
        let places = self.places.get(node)?;
        let place = places.iter().find(|(rollout, _)| *rollout == id);
        place.map(|(_, index)| *index)
    }

    /// Where a node stands in all of them and is not over.
    pub(crate) fn open_places(&self, node: &NodeId) -> Vec<(RolloutId, u32)> {
        let places = self.places.get(node).map(Vec::as_slice).unwrap_or_default();
        let open = places.iter().filter(|(id, index)| {
            let target = self.get(*id).and_then(|held| held.rollout.target(*index));
            target.is_some_and(|target| !target.progress().is_over())
        });
        open.copied().collect()
    }

    /// Notes anew when a rollout wants to be woken.
    pub(crate) fn note_wake(&mut self, id: RolloutId) {
        if let Some(held) = self.rollouts.get_mut(&id) {
            let wake = held.rollout.next_wake();
            if wake != held.wake {
                if let Some(old) = held.wake {
                    self.wakes.remove(&(old, id));
                }
                if let Some(new) = wake {
                    self.wakes.insert((new, id));
                }
                held.wake = wake;
            }
        }
    }

    /// When the first of them wants to be woken.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(wake, _)| *wake)
    }

    /// Those that want to be woken by now.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<RolloutId> {
        let due = self.wakes.iter().take_while(|(wake, _)| *wake <= now);
        due.map(|(_, id)| *id).collect()
    }
}
