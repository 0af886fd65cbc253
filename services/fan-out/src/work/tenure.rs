//! Which rollouts this replica works on: its own, those of its former lives, and those of replicas that died.

use std::collections::{HashMap, HashSet};

use muster_model::RolloutId;
use muster_store::StoreError;

use super::coordinator::Coordinator;
use super::held::Held;
use super::teller::Entry;
use crate::contract::Order;
use crate::domain::{Event, Rollout};
use crate::store::lease;
use crate::store::load::{self, Ownership};

/// Where a rollout is that is not in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// There is none with this id.
    Unknown,
    /// Another replica works on it.
    At(String),
    /// All is over and told.
    Settled,
    /// It cannot be found out now.
    Unclear,
}

impl Coordinator {
    /// At the start: goes on with what former lives of this replica have left.
    pub(super) async fn take_back(&mut self) {
        let lease = self.lease_from(self.clock.now());
        let taken = match lease::of_former_lives(&self.db, &lease).await {
            Ok(ids) => self.take_all(&ids).await,
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            log("the former rollouts are left until their leases run out", &error);
        }
    }

    /// Now and then: says that this replica is alive, and looks for rollouts whose replica is not.
    pub(super) async fn keep_tenure(&mut self) {
        if let Err(error) = self.try_keep_tenure().await {
            log("the leases were not kept", &error);
        }
        let connects = self.delivery.connects();
        if connects != self.connects {
            self.connects = connects;
            // Work and answers may have been lost with the connection.
            let now = self.clock.now();
            for id in self.holdings.ids() {
                self.apply(id, &Event::Started, now);
            }
        }
    }

    async fn try_keep_tenure(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.holdings.len() > 0 {
            lease::renew(&self.db, &self.lease_from(now)).await?;
        }
        let mine = lease::held(&self.db, &self.holder).await?;
        for id in self.holdings.ids() {
            if !mine.contains(&id) {
                tracing::warn!(rollout.id = %id, "another replica has taken a rollout over");
                self.holdings.remove(id);
            }
        }
        let mut missing = mine;
        missing.extend(lease::abandoned(&self.db, &self.holder, now).await?);
        missing.retain(|id| !self.holdings.has(*id));
        self.take_all(&missing).await
    }

    async fn take_all(&mut self, ids: &[RolloutId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        for (id, ownership) in load::ownerships(&self.db, ids, self.clock.now()).await? {
            if !ownership.settled && self.claim_and_load(id, &ownership).await? {
                tracing::info!(rollout.id = %id, "going on with a rollout");
            }
        }
        Ok(())
    }

    /// Where rollouts are; those that are here now are left out.
    /// Of the settled ones those that are `reported` on are opened again, for a late report.
    pub(super) async fn find(
        &mut self,
        ids: &[RolloutId],
        reported: &HashSet<RolloutId>,
    ) -> HashMap<RolloutId, Whereabouts> {
        let mut places: HashMap<_, _> = ids.iter().map(|id| (*id, Whereabouts::Unknown)).collect();
        if ids.is_empty() {
            return places;
        }
        let owned = match load::ownerships(&self.db, ids, self.clock.now()).await {
            Ok(owned) => owned,
            Err(error) => {
                log("rollouts were not found", &error);
                return ids.iter().map(|id| (*id, Whereabouts::Unclear)).collect();
            }
        };
        for (id, ownership) in owned {
            let place = if ownership.settled && !reported.contains(&id) {
                Some(Whereabouts::Settled)
            } else if ownership.holder != self.holder && ownership.alive && !ownership.settled {
                Some(Whereabouts::At(ownership.holder))
            } else {
                match self.claim_and_load(id, &ownership).await {
                    Ok(true) => None,
                    Ok(false) => Some(Whereabouts::Unclear),
                    Err(error) => {
                        log("a rollout was not loaded", &error);
                        Some(Whereabouts::Unclear)
                    }
                }
            };
            match place {
                Some(place) => places.insert(id, place),
                None => places.remove(&id),
            };
        }
        places
    }

    /// Whether the rollout is this replica's now, and in memory.
    async fn claim_and_load(&mut self, id: RolloutId, ownership: &Ownership) -> Result<bool, StoreError> {
        let lease = self.lease_from(self.clock.now());
        let claimed = lease::claim(&self.db, id, &ownership.holder, ownership.fence, &lease).await?;
        let Some(fence) = claimed else {
            return Ok(false);
        };
        let Some(stored) = load::rollout(&self.db, id).await? else {
            return Ok(false);
        };
        let order = Order::reread(&stored.request, stored.concurrency, stored.errors_allowed)?;
        let rollout = |order: Order| Rollout::restore(order.plan, &stored.saved);
        let mut held = Held::new(order, &stored.traceparent, fence, rollout);
        held.told = stored.told;
        held.diary.sequence = load::history_end(&self.db, id).await?;
        for untold in load::untold(&self.db, id).await? {
            held.untold.insert(untold.sequence);
            let entry = Entry {
                rollout: id,
                sequence: untold.sequence,
                transitions: untold.transitions,
                payload: untold.payload.into(),
                tenure: held.tenure.clone(),
            };
            self.tell_owner(&held.owner, entry);
        }
        if held.rollout.has_parked() {
            // Nodes that came while nobody worked on the rollout have asked in vain: they are invited to ask again.
            for tag in &held.tags {
                self.delivery.ring(&tag.key, &tag.value).await;
            }
        }
        self.holdings.add(held);
        self.apply(id, &Event::Started, self.clock.now());
        Ok(true)
    }
}

fn log(what: &str, error: &StoreError) {
    tracing::warn!(error = error as &dyn std::error::Error, "{what}");
}
