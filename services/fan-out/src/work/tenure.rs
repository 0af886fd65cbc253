//! Taking rollouts over and keeping them: leases are rows, and a fence keeps out whoever lost one.

use muster_model::{RolloutId, SignedDuration, Timestamp};
use muster_store::StoreError;
use uuid::Uuid;

use super::batch::Batch;
use super::coordinator::Coordinator;
use super::held::Held;
use super::teller::Entry;
use crate::contract::Order;
use crate::domain::Event;
use crate::store::commit::Lease;
use crate::store::load::Ownership;
use crate::store::{lease, load};

/// In whose name this process holds rollouts.
#[derive(Debug)]
pub(crate) struct Terms {
    /// This life of the process; no other has the same.
    pub(crate) holder: String,
    replica: String,
    duration: SignedDuration,
}

impl Terms {
    pub(crate) fn new(replica: &str, lease_seconds: u32) -> Self {
        Self {
            holder: Uuid::new_v4().simple().to_string(),
            replica: replica.to_owned(),
            duration: SignedDuration::from_secs(i64::from(lease_seconds.max(1))),
        }
    }

    /// How often a sign of life is given.
    pub(crate) fn sign_every(&self) -> std::time::Duration {
        self.duration.unsigned_abs() / 3
    }

    pub(crate) fn lease(&self, now: Timestamp) -> Lease {
        Lease {
            holder: self.holder.clone(),
            replica: self.replica.clone(),
            until: now.saturating_add(self.duration).unwrap_or(Timestamp::MAX),
        }
    }
}

/// What a look for a rollout found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is in our hands.
    Here,
    /// Another process works on it.
    Elsewhere(String),
    /// There is no such rollout.
    Nowhere,
}

impl Coordinator {
    /// A sign of life, and a look for rollouts that nobody works on any more.
    pub(super) async fn keep_house(&mut self, batch: &mut Batch, now: Timestamp) -> Result<(), StoreError> {
        let terms = self.terms.lease(now);
        if self.hands.len() > 0 || self.must_reload {
            lease::renew(&self.db, &terms).await?;
        }
        let mut ids = lease::abandoned(&self.db, &terms.holder, now).await?;
        if self.is_new {
            ids.extend(lease::of_former_lives(&self.db, &terms).await?);
        }
        if self.must_reload {
            ids.extend(lease::held(&self.db, &terms.holder).await?);
        }
        for id in ids {
            self.find(id, batch, now).await?;
        }
        self.is_new = false;
        self.must_reload = false;
        Ok(())
    }

    /// Looks for a rollout, and takes it over if nobody works on it.
    pub(super) async fn find(&mut self, id: RolloutId, batch: &mut Batch, now: Timestamp) -> Result<Found, StoreError> {
        if self.hands.get(id).is_some() {
            return Ok(Found::Here);
        }
        let Some(known) = load::ownership(&self.db, id, now).await? else {
            return Ok(Found::Nowhere);
        };
        let terms = self.terms.lease(now);
        let is_ours = known.holder == terms.holder && !known.settled;
        let fence = if is_ours {
            known.fence
        } else {
            if known.alive && !known.settled && !self.is_former_life(&known) {
                return Ok(Found::Elsewhere(known.holder));
            }
            match lease::claim(&self.db, id, &known.holder, known.fence, &terms).await? {
                Some(fence) => fence,
                // Somebody was faster.
                None => return Ok(Found::Elsewhere(known.holder)),
            }
        };
        self.load(id, fence, batch, now).await?;
        Ok(Found::Here)
    }

    /// At the start, whoever else bears this replica's name is dead: names are given once.
    fn is_former_life(&self, known: &Ownership) -> bool {
        self.is_new && known.holder != self.terms.holder
    }

    async fn load(&mut self, id: RolloutId, fence: i64, batch: &mut Batch, now: Timestamp) -> Result<(), StoreError> {
        let Some(stored) = load::rollout(&self.db, id).await? else {
            return Ok(());
        };
        let untold = load::untold(&self.db, id).await?;
        let order = Order::reread(&stored.request, stored.concurrency, stored.errors_allowed)?;
        let mut held = Held::new(order, &stored.saved, &stored.traceparent, fence, stored.told);
        held.untold = u32::try_from(untold.len()).unwrap_or(u32::MAX);
        for entry in untold {
            let entry = Entry {
                rollout: id,
                sequence: entry.sequence,
                transitions: entry.transitions,
                payload: entry.payload.into(),
                tenure: held.tenure.clone(),
            };
            self.tellers.tell(&held.owner, entry);
        }
        let rings = !held.tags.is_empty() && held.rollout.has_parked();
        tracing::info!(rollout.id = %id, targets = held.rollout.len(), "rollout taken up");
        self.hands.take_up(held);
        batch.touch(id).rings |= rings;
        self.happen(id, &Event::Started, &[], batch, now);
        Ok(())
    }
}
