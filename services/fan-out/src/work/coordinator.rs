//! The one task that decides: inputs in, one transaction, then what follows from it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;
use muster_boot::{BoxError, Parts};
use muster_model::{Clock, RolloutId, Timestamp};
use muster_proto::agent::v1::Record;
use muster_store::{Db, StoreError};
use muster_wire::Failure;
use tokio::sync::mpsc;

use super::batch::{Batch, Reported};
use super::delivery::Delivery;
use super::held::{Hands, Held};
use super::input::{Answer, Door, Input, Inputs, NodeReply};
use super::listener::Listener;
use super::metrics::Metrics;
use super::peers::Peers;
use super::teller::Tellers;
use super::tenure::{Found, Terms};
use crate::Settings;
use crate::contract::Order;
use crate::domain::{Effect, Event, Recipients, Saved};
use crate::error::{from_store, no_such_rollout, unavailable};
use crate::store::commit::{AcceptedRow, Writes};
use crate::store::{lease, load};

/// Inputs that may wait.
const WAITING: usize = 32 * 1024;
/// Most inputs in one batch: more would only make the first ones wait.
const GROUP: usize = 4 * 1024;
/// How soon a batch that failed is followed by a look at what is stored.
const SOON: Duration = Duration::from_millis(100);

/// Who gets which work when.
pub(crate) struct Coordinator {
    pub(super) db: Db,
    clock: Arc<dyn Clock>,
    delivery: Delivery,
    peers: Peers,
    pub(super) tellers: Tellers,
    metrics: Metrics,
    pub(super) terms: Terms,
    pub(super) hands: Hands,
    /// Nothing of a former life has been looked for yet.
    pub(super) is_new: bool,
    /// Rollouts of ours may not be in memory.
    pub(super) must_reload: bool,
    /// How often the bus had been reached anew when everybody was last asked.
    connects: u64,
}

impl Coordinator {
    /// Starts the task, and listens for what concerns it. Inputs can be sent when this returns.
    ///
    /// # Errors
    /// If the bus does not take the subscriptions.
    pub(crate) async fn start(settings: &Settings, parts: &Parts) -> Result<Inputs, BoxError> {
        let (inputs, waiting) = mpsc::channel(WAITING);
        let metrics = Metrics::register(parts);
        let delivery = Delivery::new(parts.nats.clone());
        let terms = Terms::new(&parts.replica, settings.lease_seconds);
        let listener = Listener::start(&parts.nats, &delivery, &terms.holder).await?;
        let tellers = Tellers::new(parts.nats.clone(), parts.tasks.clone(), inputs.clone(), metrics.clone());
        let coordinator = Self {
            db: parts.database(),
            clock: Arc::clone(&parts.clock),
            peers: Peers::start(parts, delivery.clone()),
            connects: delivery.connects(),
            delivery,
            tellers,
            metrics,
            terms,
            hands: Hands::default(),
            is_new: true,
            must_reload: false,
        };
        let stopping = parts.tasks.stopping();
        parts.tasks.spawn("coordinator", async move {
            tokio::select! {
                () = stopping.cancelled() => Ok(()),
                ended = coordinator.run(waiting) => ended,
            }
        });
        let (db, stopping) = (parts.database(), parts.tasks.stopping());
        let holder = listener.holder().to_owned();
        parts.tasks.spawn("release", async move {
            stopping.cancelled().await;
            // Others need not wait; if this fails they wait for the lease to run out.
            let _ = lease::release(&db, &holder).await;
            Ok(())
        });
        listener.listen(&parts.tasks, &inputs);
        Ok(inputs)
    }

    async fn run(mut self, mut waiting: mpsc::Receiver<Input>) -> Result<(), BoxError> {
        let mut group = Vec::with_capacity(GROUP);
        let mut house_due = Instant::now();
        loop {
            let pause = self.pause(house_due);
            tokio::select! {
                biased;
                count = waiting.recv_many(&mut group, GROUP) => if count == 0 { return Ok(()) },
                () = tokio::time::sleep(pause) => {}
            }
            let now = self.clock.now();
            let mut batch = Batch::default();
            self.metrics.batch.observe(group.len() as f64);
            if house_due <= Instant::now() {
                house_due = Instant::now() + self.terms.sign_every();
                if let Err(error) = self.keep_house(&mut batch, now).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "leases could not be looked after"
                    );
                }
            }
            self.start_all(&mut group, &mut batch, now).await;
            for input in group.drain(..) {
                self.take(input, &mut batch, now).await;
            }
            self.ask_again_after_reconnect(&mut batch, now);
            for id in self.hands.due(now) {
                self.happen(id, &Event::Tick, &[], &mut batch, now);
            }
            if self.finish(batch, now).await.is_err() {
                house_due = house_due.min(Instant::now() + SOON);
            }
            self.metrics
                .held
                .set(i64::try_from(self.hands.len()).unwrap_or(i64::MAX));
        }
    }

    /// Until something is due even if nothing comes in.
    fn pause(&self, house_due: Instant) -> Duration {
        let house = house_due.saturating_duration_since(Instant::now());
        let wake = self.hands.next_wake().map(|wake| {
            let left = wake.duration_since(self.clock.now());
            if left.is_negative() {
                Duration::ZERO
            } else {
                left.unsigned_abs()
            }
        });
        wake.map_or(house, |wake| wake.min(house))
    }

    /// Applies an event to a rollout in hand.
    pub(super) fn happen(
        &mut self,
        id: RolloutId,
        event: &Event,
        records: &[Record],
        batch: &mut Batch,
        now: Timestamp,
    ) {
        if let Some(held) = self.hands.get_mut(id) {
            batch.apply(held, event, records, now, &self.metrics);
            self.hands.set_wake(id);
        }
    }

    /// What was sent while the bus was away may be lost: everybody who has not answered is asked again.
    fn ask_again_after_reconnect(&mut self, batch: &mut Batch, now: Timestamp) {
        let connects = self.delivery.connects();
        if connects == self.connects {
            return;
        }
        self.connects = connects;
        for id in self.hands.ids() {
            self.happen(id, &Event::Started, &[], batch, now);
        }
    }

    /// Accepts all rollouts of the group with one look at what is known already.
    async fn start_all(&mut self, group: &mut Vec<Input>, batch: &mut Batch, now: Timestamp) {
        let is_start = |input: &Input| matches!(input, Input::Start { .. });
        let ids: Vec<RolloutId> = group
            .iter()
            .filter_map(|input| match input {
                Input::Start { order, .. } => Some(order.plan.id),
                _ => None,
            })
            .collect();
        if ids.is_empty() {
            return;
        }
        let known = load::known(&self.db, &ids).await;
        let (starts, others): (Vec<_>, Vec<_>) = std::mem::take(group).into_iter().partition(is_start);
        *group = others;
        for start in starts {
            let Input::Start {
                order,
                request,
                traceparent,
                answer,
            } = start
            else {
                continue;
            };
            match &known {
                Err(error) => self.refuse(answer, failure_of(error)).await,
                // A repeat: it is in good hands.
                Ok(known) if known.contains(&order.plan.id) || self.hands.get(order.plan.id).is_some() => {
                    batch.answers.push(answer);
                }
                Ok(_) => {
                    self.accept(*order, request, &traceparent, batch, now);
                    batch.answers.push(answer);
                }
            }
        }
    }

    fn accept(&mut self, order: Order, request: Vec<u8>, traceparent: &str, batch: &mut Batch, now: Timestamp) {
        let id = order.plan.id;
        batch.accepted.push(AcceptedRow {
            id,
            request,
            concurrency: order.plan.concurrency,
            errors_allowed: order.plan.errors_allowed,
            traceparent: traceparent.to_owned(),
            created_at: now,
            lease: self.terms.lease(now),
        });
        self.hands
            .take_up(Held::new(order, &Saved::default(), traceparent, 1, 0));
        self.happen(id, &Event::Started, &[], batch, now);
    }

    async fn take(&mut self, input: Input, batch: &mut Batch, now: Timestamp) {
        match input {
            Input::Start { answer, .. } => self.refuse(answer, unavailable("fan-out")).await,
            Input::Cancel {
                id,
                nodes,
                forwarded,
                answer,
            } => match self.find(id, batch, now).await {
                Ok(Found::Here) => {
                    let recipients = match (nodes.is_empty(), self.hands.get(id)) {
                        (true, _) | (_, None) => Recipients::All,
                        (false, Some(held)) => {
                            Recipients::Some(nodes.iter().filter_map(|node| held.position(node)).collect())
                        }
                    };
                    self.happen(id, &Event::Cancelled(recipients), &[], batch, now);
                    batch.answers.push(answer);
                }
                Ok(Found::Elsewhere(holder)) if !forwarded => self.peers.cancel(&holder, id, &nodes, answer),
                Ok(Found::Elsewhere(_)) => self.refuse(answer, unavailable("the rollout")).await,
                Ok(Found::Nowhere) => self.refuse(answer, no_such_rollout(id)).await,
                Err(error) => self.refuse(answer, failure_of(&error)).await,
            },
            Input::Ack { node, id, verdict } => {
                let Some(index) = self.hands.get(id).and_then(|held| held.position(&node)) else {
                    return;
                };
                let event = match verdict {
                    Door::Accepted => Event::Accepted { index },
                    Door::Busy(retry_after) => Event::Busy { index, retry_after },
                    Door::Refused(reason) => Event::RefusedByNode { index, reason },
                };
                self.happen(id, &event, &[], batch, now);
            }
            Input::Present { node, unfinished } => {
                for id in self.hands.of_node(&node) {
                    if let Some(index) = self.hands.get(id).and_then(|held| held.position(&node)) {
                        let has_run = unfinished.contains(&id);
                        self.happen(id, &Event::Present { index, has_run }, &[], batch, now);
                    }
                }
            }
            Input::Expected { node, reply } => self.delivery.expect(reply, self.hands.expected_of(&node)).await,
            Input::Reply(reply) => self.replied(*reply, batch, now).await,
            Input::Unreachable { id, index, attempt } => {
                self.happen(id, &Event::Unreachable { index, attempt }, &[], batch, now);
            }
            Input::Heard(heard) => {
                for (id, sequence) in heard {
                    if let Some(held) = self.hands.get_mut(id) {
                        held.untold = held.untold.saturating_sub(1);
                        batch.heard.push((id, sequence));
                        batch.touch(id);
                    }
                }
            }
        }
    }

    async fn replied(&mut self, reply: NodeReply, batch: &mut Batch, now: Timestamp) {
        let id = reply.id;
        match self.find(id, batch, now).await {
            Ok(Found::Here) => {
                let Some(index) = self.hands.get(id).and_then(|held| held.position(&reply.node)) else {
                    // Not a target: whatever it ran, nobody wants to know.
                    return self.delivery.confirm(reply.reply, reply.report.last).await;
                };
                let event = Event::Replied {
                    index,
                    report: reply.report,
                };
                self.happen(id, &event, &reply.records, batch, now);
                batch.reports.push(Reported {
                    reply: reply.reply,
                    id,
                    index,
                });
            }
            Ok(Found::Elsewhere(holder)) if !reply.forwarded => self.peers.reply(&holder, reply),
            Ok(Found::Elsewhere(_)) => self.delivery.fail(reply.reply, unavailable("the rollout")).await,
            // Forgotten long ago: the node may forget it too.
            Ok(Found::Nowhere) => self.delivery.confirm(reply.reply, reply.report.last).await,
            Err(error) => self.delivery.fail(reply.reply, failure_of(&error)).await,
        }
    }

    async fn refuse(&self, answer: Answer, failure: Failure) {
        match answer {
            // A caller that went away does not need the answer.
            Answer::Call(call) => drop(call.send(Err(failure))),
            Answer::Bus(reply) => self.delivery.fail(reply, failure).await,
        }
    }

    /// Writes the batch and carries out what follows. If it is not written, its rollouts are forgotten and loaded again.
    async fn finish(&mut self, mut batch: Batch, now: Timestamp) -> Result<(), StoreError> {
        let mut writes = Writes {
            accepted: std::mem::take(&mut batch.accepted),
            heard: std::mem::take(&mut batch.heard),
            ..Writes::default()
        };
        for (id, touched) in &mut batch.touched {
            if let Some(held) = self.hands.get_mut(*id) {
                Batch::write(touched, held, now, &mut writes);
            }
        }
        if !writes.is_empty() {
            let began = Instant::now();
            if let Err(error) = writes.commit(&self.db).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a batch was not written");
                self.metrics.lost_batches.inc();
                self.abandon(batch, &error).await;
                return Err(error);
            }
            self.metrics.commit_seconds.observe(began.elapsed().as_secs_f64());
        }
        self.carry_out(batch, now).await;
        Ok(())
    }

    async fn abandon(&mut self, batch: Batch, error: &StoreError) {
        for id in batch.touched.keys() {
            self.hands.let_go(*id);
        }
        self.must_reload = true;
        for answer in batch.answers {
            self.refuse(answer, failure_of(error)).await;
        }
        for report in batch.reports {
            self.delivery.fail(report.reply, failure_of(error)).await;
        }
    }

    async fn carry_out(&mut self, batch: Batch, now: Timestamp) {
        for answer in batch.answers {
            match answer {
                Answer::Call(call) => drop(call.send(Ok(()))),
                Answer::Bus(reply) => self.delivery.answer(reply, Bytes::new()).await,
            }
        }
        for report in batch.reports {
            self.confirm(report.reply, report.id, report.index).await;
        }
        for (id, touched) in batch.touched {
            let Some(held) = self.hands.get(id) else {
                continue;
            };
            for act in touched.acts {
                match act {
                    Effect::Send { index, attempt } => {
                        self.delivery
                            .send(&held.parcel, &held.rollout, index, attempt, now)
                            .await;
                    }
                    Effect::SendCancel { index } => {
                        if let Some(target) = held.rollout.target(index) {
                            self.delivery.cancel(&target.node, id).await;
                        }
                    }
                    Effect::Tell { .. } => {}
                }
            }
            if touched.rings {
                for tag in &held.tags {
                    self.delivery.ring(&tag.key, &tag.value).await;
                }
            }
            for entry in touched.entries {
                self.tellers.tell(&held.owner, entry);
            }
            if touched.settled {
                self.hands.let_go(id);
            }
        }
    }

    async fn confirm(&self, reply: Subject, id: RolloutId, index: u32) {
        let target = self.hands.get(id).and_then(|held| held.rollout.target(index));
        let sequence = target.map_or(0, |target| target.progress().last_sequence);
        self.delivery.confirm(reply, sequence).await;
    }
}

/// What a caller hears of a store's trouble; the error itself goes on.
fn failure_of(error: &StoreError) -> Failure {
    match error {
        StoreError::Conflict { .. } => unavailable("the rollout, which changes hands,"),
        StoreError::Unavailable(_) => unavailable("the database of fan-out"),
        other => from_store(StoreError::corrupt(other.to_string())),
    }
}
