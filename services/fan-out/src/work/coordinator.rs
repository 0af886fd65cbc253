//! The loop: take what has come in, apply it, write it, carry it out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use muster_boot::{BoxError, Parts};
use muster_model::{Clock, NodeId, RolloutId, SignedDuration, Timestamp};
use muster_store::Db;
use muster_wire::Failure;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Reply};
use super::delivery::Delivery;
use super::held::{Held, Holdings};
use super::input::{Answer, Door, Input, Inputs, NodeReply};
use super::listener::Hearing;
use super::metrics::Metrics;
use super::peers::Peers;
use super::seal::Seal;
use super::teller::Tellers;
use super::tenure::Whereabouts;
use crate::Settings;
use crate::contract::Order;
use crate::domain::{Event, Recipients, Rollout};
use crate::error::{no_such_rollout, unavailable};
use crate::store::commit::{AcceptedRow, Lease};
use crate::store::lease;

/// Most inputs in one batch.
const BATCH: usize = 4_096;
/// Inputs that may wait.
const WAITING: usize = 16_384;
/// How long what can wait may wait: acceptances, and what owners have taken.
const LAG: SignedDuration = SignedDuration::from_millis(250);
/// How long a clean end waits for what the bus still holds for this replica.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Longest sleep. A clock that is turned, by an administrator or by a test, is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The task that works on rollouts.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(super) db: Db,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) delivery: Delivery,
    pub(super) seal: Seal,
    pub(super) peers: Peers,
    pub(super) holder: String,
    pub(super) replica: String,
    pub(super) lease: SignedDuration,
    pub(super) holdings: Holdings,
    pub(super) batch: Batch,
    /// How often the bus was reached when nodes were last asked again.
    pub(super) connects: u64,
    pub(super) tellers: Tellers,
    pub(super) metrics: Metrics,
    /// What owners have taken and the outbox still holds.
    pub(super) heard: Vec<(RolloutId, i64)>,
    /// When what could wait is written.
    pub(super) late_at: Option<Timestamp>,
}

impl Coordinator {
    /// The coordinator, and where things for it are put.
    pub(crate) fn new(
        settings: &Settings,
        parts: &Parts,
        (delivery, seal): (Delivery, Seal),
        peers: Peers,
        holder: String,
        metrics: Metrics,
    ) -> (Self, Inputs, mpsc::Receiver<Input>) {
        let (inputs, received) = mpsc::channel(WAITING);
        let tellers = Tellers::new(parts.nats.clone(), parts.tasks.clone(), inputs.clone(), metrics.clone());
        let coordinator = Self {
            db: parts.database(),
            clock: Arc::clone(&parts.clock),
            connects: delivery.connects(),
            delivery,
            seal,
            peers,
            holder,
            replica: parts.replica.clone(),
            lease: settings.lease(),
            holdings: Holdings::default(),
            batch: Batch::default(),
            tellers,
            metrics,
            heard: Vec::new(),
            late_at: None,
        };
        (coordinator, inputs, received)
    }

    /// Starts the task.
    pub(crate) fn start(self, parts: &Parts, inputs: mpsc::Receiver<Input>, hearing: Hearing) {
        let stopping = parts.tasks.stopping();
        parts.tasks.spawn("coordinator", self.run(inputs, hearing, stopping));
    }

    async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut hearing: Hearing,
        stopping: CancellationToken,
    ) -> Result<(), BoxError> {
        self.take_back().await;
        let period = Duration::try_from(self.lease).unwrap_or(LONGEST_SLEEP) / 3;
        let mut tenure = interval(period);
        tenure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Vec::new();
        loop {
            let sleep = tokio::time::sleep(self.until_next_wake());
            tokio::select! {
                biased;
                // Only here, between two batches: what is in memory must never be half written.
                () = stopping.cancelled() => break,
                _ = tenure.tick() => {
                    self.keep_tenure().await;
                    self.seal.refresh(self.clock.now()).await;
                }
                count = inputs.recv_many(&mut waiting, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.metrics.batch.observe(count as f64);
                    self.take_in(std::mem::take(&mut waiting)).await;
                }
                () = sleep => {}
            }
            let now = self.clock.now();
            for id in self.holdings.due(now) {
                self.apply(id, &Event::Tick, now);
            }
            self.finish_batch(now).await;
        }
        if tokio::time::timeout(LAST_WORDS, hearing.ended()).await.is_err() {
            tracing::warn!("the bus did not say that it has nothing more");
        }
        while let Ok(input) = inputs.try_recv() {
            waiting.push(input);
        }
        self.take_in(waiting).await;
        self.leave().await;
        Ok(())
    }

    fn until_next_wake(&self) -> Duration {
        let wake = [self.holdings.next_wake(), self.late_at].into_iter().flatten().min();
        let Some(wake) = wake else {
            return LONGEST_SLEEP;
        };
        let left = wake.duration_since(self.clock.now());
        Duration::try_from(left).unwrap_or(Duration::ZERO).min(LONGEST_SLEEP)
    }

    /// A clean end: nothing is left unwritten, and others may take over at once.
    async fn leave(&mut self) {
        let now = self.clock.now();
        self.late_at = Some(now);
        self.finish_batch(now).await;
        if let Err(error) = lease::release(&self.db, &self.holder).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the rollouts were not given up"
            );
        }
        // A bus that is away does not hold up the end.
        let _ = tokio::time::timeout(LAST_WORDS, self.delivery.flush()).await;
    }

    // Applying

    async fn take_in(&mut self, inputs: Vec<Input>) {
        let elsewhere = self.whereabouts(&inputs).await;
        let now = self.clock.now();
        for input in inputs {
            match input {
                Input::Start {
                    order,
                    request,
                    traceparent,
                    answer,
                } => {
                    let place = elsewhere.get(&order.plan.id);
                    self.start_rollout(*order, request, traceparent, answer, place, now);
                }
                Input::Cancel {
                    id,
                    nodes,
                    only_unsent,
                    forwarded,
                    answer,
                } => {
                    let place = elsewhere.get(&id).filter(|_| !self.holdings.has(id));
                    match place {
                        Some(Whereabouts::At(holder)) if !forwarded => {
                            self.peers.cancel(holder, id, &nodes, only_unsent, answer);
                        }
                        _ => {
                            let outcome = self.cancel(id, &nodes, only_unsent, place, now);
                            self.batch.answers.push(Reply::Outcome(answer, outcome));
                        }
                    }
                }
                Input::Ack { node, id, verdict } => self.ack(&node, id, verdict, now),
                Input::Present { node, unfinished } => {
                    for (id, index) in self.holdings.open_places(&node) {
                        let has_run = unfinished.contains(&id);
                        self.apply(id, &Event::Present { index, has_run }, now);
                    }
                }
                Input::Expected(asked) => {
                    let expected = u32::try_from(self.holdings.open_places(&asked.node).len()).unwrap_or(u32::MAX);
                    self.delivery
                        .expect(*asked, expected, self.clock.now(), &self.seal)
                        .await;
                }
                Input::Reply(reply) => {
                    let place = elsewhere.get(&reply.id).filter(|_| !self.holdings.has(reply.id));
                    match place {
                        Some(Whereabouts::At(holder)) if !reply.forwarded => self.peers.reply(holder, *reply),
                        _ => self.reply(*reply, place, now),
                    }
                }
                Input::Unreachable { id, index, attempt } => {
                    self.apply(id, &Event::Unreachable { index, attempt }, now);
                }
                Input::Heard(entries) => self.heard(entries, now),
            }
        }
    }

    pub(super) fn apply(&mut self, id: RolloutId, event: &Event, now: Timestamp) {
        if let Some(held) = self.holdings.get_mut(id) {
            held.apply(event, Vec::new(), now, &self.metrics);
            self.batch.touched.insert(id);
        }
    }

    fn start_rollout(
        &mut self,
        order: Order,
        request: Vec<u8>,
        traceparent: String,
        answer: Answer,
        place: Option<&Whereabouts>,
        now: Timestamp,
    ) {
        let id = order.plan.id;
        let outcome = match place {
            _ if self.holdings.has(id) => Ok(()),
            Some(Whereabouts::Unknown) => {
                self.batch.accepted.push(AcceptedRow {
                    id,
                    request,
                    concurrency: order.plan.concurrency,
                    errors_allowed: order.plan.errors_allowed,
                    traceparent: traceparent.clone(),
                    created_at: now,
                    lease: self.lease_from(now),
                });
                let rollout = |order: Order| Rollout::new(order.plan);
                self.holdings.add(Held::new(order, &traceparent, 1, rollout));
                self.apply(id, &Event::Started, now);
                Ok(())
            }
            Some(Whereabouts::At(_) | Whereabouts::Settled) => Ok(()),
            Some(Whereabouts::Unclear) | None => Err(unavailable("the database of fan-out")),
        };
        self.batch.answers.push(Reply::Outcome(answer, outcome));
    }

    fn cancel(
        &mut self,
        id: RolloutId,
        nodes: &[NodeId],
        only_unsent: bool,
        place: Option<&Whereabouts>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        match place {
            None if self.holdings.has(id) => {
                let recipients = match nodes {
                    [] if only_unsent => Recipients::Unsent,
                    [] => Recipients::All,
                    nodes => {
                        let indexes = nodes.iter().filter_map(|node| self.holdings.index_of(id, node));
                        Recipients::Some(indexes.collect())
                    }
                };
                self.apply(id, &Event::Cancelled(recipients), now);
                Ok(())
            }
            Some(Whereabouts::Settled) => Ok(()),
            Some(Whereabouts::Unknown) => Err(no_such_rollout(id)),
            Some(Whereabouts::At(_)) => Err(unavailable("the replica that works on the rollout")),
            Some(Whereabouts::Unclear) | None => Err(unavailable("the database of fan-out")),
        }
    }

    fn ack(&mut self, node: &NodeId, id: RolloutId, verdict: Door, now: Timestamp) {
        if let Some(index) = self.holdings.index_of(id, node) {
            let event = match verdict {
                Door::Accepted => Event::Accepted { index },
                Door::Busy(retry_after) => Event::Busy { index, retry_after },
                Door::Refused(reason) => Event::RefusedByNode { index, reason },
            };
            self.apply(id, &event, now);
        }
    }

    fn reply(&mut self, from: NodeReply, place: Option<&Whereabouts>, now: Timestamp) {
        let NodeReply {
            node,
            id,
            records,
            report,
            reply,
            ..
        } = from;
        let answer = match (place, self.holdings.index_of(id, &node)) {
            (None, Some(index)) => {
                if let Some(held) = self.holdings.get_mut(id) {
                    held.apply(&Event::Replied { index, report }, records, now, &self.metrics);
                    self.batch.touched.insert(id);
                }
                Reply::Confirm { reply, id, index }
            }
            // Not a target of it, or there is no such rollout any more: nobody waits for this.
            (None, None) if self.holdings.has(id) => Reply::Forget {
                reply,
                last: report.last,
            },
            (Some(Whereabouts::Unknown), _) => Reply::Forget {
                reply,
                last: report.last,
            },
            _ => Reply::Again {
                reply,
                failure: unavailable("the rollout"),
            },
        };
        self.batch.answers.push(answer);
    }

    fn heard(&mut self, entries: Vec<(RolloutId, i64)>, now: Timestamp) {
        for (id, sequence) in &entries {
            if let Some(held) = self.holdings.get_mut(*id) {
                held.untold.remove(sequence);
            }
        }
        self.heard.extend(entries);
        self.write_late(now);
    }

    pub(super) fn write_late(&mut self, now: Timestamp) {
        self.late_at.get_or_insert(now + LAG);
    }

    // Writing and carrying out

    pub(super) fn lease_from(&self, now: Timestamp) -> Lease {
        Lease {
            holder: self.holder.clone(),
            replica: self.replica.clone(),
            until: now + self.lease,
        }
    }

    /// Finds out about the rollouts of these inputs that are not in memory; loads those that are this replica's to take.
    async fn whereabouts(&mut self, inputs: &[Input]) -> HashMap<RolloutId, Whereabouts> {
        let mut wanted = Vec::new();
        let mut reported = HashSet::new();
        for input in inputs {
            let id = match input {
                Input::Start { order, .. } => order.plan.id,
                Input::Cancel { id, .. } => *id,
                Input::Reply(reply) => {
                    reported.insert(reply.id);
                    reply.id
                }
                _ => continue,
            };
            if !self.holdings.has(id) {
                wanted.push(id);
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.find(&wanted, &reported).await
    }
}
