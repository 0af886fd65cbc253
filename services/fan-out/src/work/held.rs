//! The rollouts that this replica works on, in memory.

use std::collections::{BTreeSet, HashMap, HashSet};

use muster_model::{NodeId, RolloutId, Timestamp};
use muster_proto::fanout::v1::TagSelector;

use super::delivery::Parcel;
use super::teller::Tenure;
use crate::contract::Order;
use crate::domain::{Rollout, Saved};

/// A rollout in hand.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) rollout: Rollout,
    pub(crate) owner: String,
    pub(crate) tags: Vec<TagSelector>,
    pub(crate) parcel: Parcel,
    pub(crate) fence: i64,
    /// Sequence of the last entry written to the outbox.
    pub(crate) told: i64,
    /// Entries that the owner has not taken yet.
    pub(crate) untold: u32,
    pub(crate) tenure: Tenure,
    /// Targets that have a row of their own, which from then on must be kept right.
    pub(crate) rows: HashSet<u32>,
    positions: HashMap<NodeId, u32>,
    wake: Option<Timestamp>,
}

impl Held {
    /// Takes a rollout in hand, as it was saved.
    pub(crate) fn new(order: Order, saved: &Saved, traceparent: &str, fence: i64, told: i64) -> Self {
        let rollout = Rollout::restore(order.plan, saved);
        let nodes = rollout.targets().iter().map(|target| target.node.clone());
        Self {
            positions: nodes.zip(0..).collect(),
            rows: saved.progress.iter().map(|(index, _)| *index).collect(),
            rollout,
            owner: order.owner,
            tags: order.tags,
            parcel: Parcel::new(order.work, traceparent),
            fence,
            told,
            untold: 0,
            tenure: Tenure::new(),
            wake: None,
        }
    }

    /// A node's place among the targets.
    pub(crate) fn position(&self, node: &NodeId) -> Option<u32> {
        self.positions.get(node).copied()
    }
}

/// All of them, found by id, by node and by time.
#[derive(Debug, Default)]
pub(crate) struct Hands {
    held: HashMap<RolloutId, Held>,
    by_node: HashMap<NodeId, BTreeSet<RolloutId>>,
    wakes: BTreeSet<(Timestamp, RolloutId)>,
}

impl Hands {
    pub(crate) fn get(&self, id: RolloutId) -> Option<&Held> {
        self.held.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: RolloutId) -> Option<&mut Held> {
        self.held.get_mut(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn ids(&self) -> Vec<RolloutId> {
        self.held.keys().copied().collect()
    }

    pub(crate) fn take_up(&mut self, held: Held) {
        let id = held.rollout.id();
        for target in held.rollout.targets() {
            self.by_node.entry(target.node.clone()).or_default().insert(id);
        }
        self.held.insert(id, held);
    }

    /// Lets a rollout go; whoever holds it next tells its owner what is left.
    pub(crate) fn let_go(&mut self, id: RolloutId) {
        let Some(held) = self.held.remove(&id) else {
            return;
        };
        held.tenure.end();
        if let Some(wake) = held.wake {
            self.wakes.remove(&(wake, id));
        }
        for target in held.rollout.targets() {
            if let Some(rollouts) = self.by_node.get_mut(&target.node) {
                rollouts.remove(&id);
                if rollouts.is_empty() {
                    self.by_node.remove(&target.node);
                }
            }
        }
    }

    /// The rollouts that have a node among their targets.
    pub(crate) fn of_node(&self, node: &NodeId) -> Vec<RolloutId> {
        self.by_node
            .get(node)
            .map(|ids| ids.iter().copied().collect())
            .unwrap_or_default()
    }

    /// How many of them still wait for something from the node.
    pub(crate) fn expected_of(&self, node: &NodeId) -> u32 {
        let open = self.of_node(node).into_iter().filter(|id| {
            let held = self.get(*id);
            held.and_then(|held| held.rollout.target(held.position(node)?))
                .is_some_and(|target| !target.progress().is_over())
        });
        u32::try_from(open.count()).unwrap_or(u32::MAX)
    }

    /// Notes when a rollout wants to be woken next.
    pub(crate) fn set_wake(&mut self, id: RolloutId) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let wake = held.rollout.next_wake();
        if wake == held.wake {
            return;
        }
        if let Some(former) = held.wake {
            self.wakes.remove(&(former, id));
        }
        if let Some(wake) = wake {
            self.wakes.insert((wake, id));
        }
        held.wake = wake;
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
