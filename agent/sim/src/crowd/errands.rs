//! What takes a request or several: coming to the bus, greeting, pulling. So many at a time, or ten thousand nodes would
//! all wait for the slowest.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_nats::Message;
use futures::StreamExt;
use futures::stream::BoxStream;
use muster_model::NodeId;
use muster_wire::subject;
use tokio::sync::oneshot;

use super::{Crowd, Errand, Event, MINUTE, Timer, jittered};
use crate::calls;
use crate::node::Node;

/// Nodes of a crowd that register, greet or pull at the same time.
const WIDTH: usize = 64;

impl Crowd {
    pub(super) fn start_errands(&mut self) {
        while self.errands_on_their_way < WIDTH
            && let Some(errand) = self.errands.pop_front()
        {
            let is_possible = match errand {
                Errand::Arrive(number) => !self.is_present(number),
                Errand::Greet(number) | Errand::Pull(number) => self.is_present(number),
            };
            if is_possible {
                self.errands_on_their_way += 1;
                self.start(errand);
            }
        }
    }

    pub(super) fn start(&mut self, errand: Errand) {
        let (client, shared) = (self.client.clone(), Arc::clone(&self.shared));
        match errand {
            Errand::Arrive(number) => {
                let known = self.node(number).map(|node| node.id.clone());
                self.tasks.push(Box::pin(async move {
                    let id = match known {
                        Some(id) => id,
                        None => calls::register(&client, &shared, number).await,
                    };
                    let (presence, absence) = oneshot::channel();
                    match client.subscribe(subject::everything_for(&id)).await {
                        Ok(inbox) => Event::Arrived(number, id, inbox.take_until(absence).boxed(), presence),
                        Err(error) => {
                            tracing::error!(%error, number, "cannot subscribe");
                            Event::ErrandDone
                        }
                    }
                }));
            }
            Errand::Greet(number) => {
                let Some(id) = self.node(number).map(|node| node.id.clone()) else {
                    return;
                };
                self.tasks.push(Box::pin(async move {
                    Event::Greeted(number, calls::hello(&client, &id, number).await)
                }));
            }
            Errand::Pull(number) => {
                let Some(node) = self.node(number) else { return };
                let (id, unfinished) = (node.id.clone(), node.unfinished());
                self.tasks.push(Box::pin(async move {
                    calls::pull(&client, &id, unfinished).await;
                    Event::ErrandDone
                }));
            }
        }
    }

    /// Registered and subscribed: the rest is greeting and pulling.
    pub(super) fn arrived(
        &mut self,
        number: usize,
        id: NodeId,
        inbox: BoxStream<'static, Message>,
        presence: oneshot::Sender<()>,
    ) {
        self.errands_on_their_way -= 1;
        self.inbox.push(inbox);
        self.numbers.insert(id.clone(), number);
        let tally = self.shared.tally.clone();
        let Some(place) = self.places.get_mut(&number) else {
            return;
        };
        let is_new = place.node.is_none();
        let node = place.node.get_or_insert_with(|| Node::new(number, id.clone(), tally));
        place.presence = Some(presence);
        let unfinished = node.unfinished();
        // Ahead of nodes that have not even registered.
        self.errands.push_front(Errand::Greet(number));
        if is_new {
            self.shared.arrived(number, id);
            let now = Instant::now();
            self.timers.push(Reverse((now + jittered(MINUTE), Timer::Beat(number))));
            self.timers.push(Reverse((now + jittered(MINUTE), Timer::Pull(number))));
        }
        for run in unfinished {
            self.send_news(number, run);
        }
    }

    /// Fleet knows the node and has told its tags; now there may be work.
    pub(super) fn listen_to(&mut self, number: usize, tags: &BTreeMap<String, String>) {
        self.errands_on_their_way -= 1;
        for nodes in self.doorbells.values_mut() {
            nodes.retain(|node| *node != number);
        }
        for bell in tags.iter().map(|(key, value)| subject::tag(key, value)) {
            if !self.doorbells.contains_key(&bell) {
                let (client, bell) = (self.client.clone(), bell.clone());
                self.tasks.push(Box::pin(async move {
                    match client.subscribe(bell).await {
                        Ok(subscriber) => Event::Subscribed(subscriber),
                        Err(error) => {
                            tracing::error!(%error, "cannot listen to a doorbell");
                            Event::Published
                        }
                    }
                }));
            }
            self.doorbells.entry(bell).or_default().push(number);
        }
        self.errands.push_front(Errand::Pull(number));
        self.shared.greeted(number);
        // The greeting went over the connection after the subscription: by now the bus knows that the node listens.
        if let Some(listening) = self.places.get_mut(&number).and_then(|place| place.awaited.take()) {
            // Nobody need wait any more.
            let _ = listening.send(());
        }
    }

    /// The connection came back: everybody greets, pulls, and sends again what may have been lost.
    pub(super) fn connected(&mut self) {
        self.connection += 1;
        self.letters.clear();
        let present: Vec<usize> = self
            .places
            .iter()
            .filter(|(_, p)| p.presence.is_some())
            .map(|(n, _)| *n)
            .collect();
        for number in present {
            self.errands.push_back(Errand::Greet(number));
            for run in self.node(number).map(Node::unfinished).unwrap_or_default() {
                self.send_news(number, run);
            }
        }
    }
}
