//! The agents of one connection: one loop that owns them, as the real agent's loop owns its runs.

mod errands;
mod letters;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Client, Message, Subscriber};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, SelectAll};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use muster_model::{Clock, NodeId, SystemClock};
use muster_proto::agent::v1::{Ack, Cancel, Heartbeat, ReplyResult, WorkItem};
use muster_wire::subject;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};

use crate::RunId;
use crate::calls::{self, CallError};
use crate::fleet::Shared;
use crate::node::{Effect, Node};
use crate::steps::{Step, steps};

/// Between two pulls of a node, and between two heartbeats.
const MINUTE: Duration = Duration::from_secs(60);

/// What the fleet's owner wants of a node.
#[derive(Debug)]
pub(crate) enum Order {
    /// Vanish: no subscription, no request.
    Leave(usize),
    /// Come back, and say when you listen again.
    Return(usize, oneshot::Sender<()>),
}

/// Something that takes a request or several.
#[derive(Debug, Clone, Copy)]
enum Errand {
    /// Register if need be, subscribe, greet, pull.
    Arrive(usize),
    /// Greet and pull: the connection was lost, or the service has news about the node.
    Greet(usize),
    Pull(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Wake(usize, RunId),
    Resend(usize, RunId),
    Pull(usize),
    Beat(usize),
}

enum Event {
    Message(Message),
    Doorbell(String),
    Connected,
    Order(Order),
    Arrived(usize, NodeId, BoxStream<'static, Message>, oneshot::Sender<()>),
    Greeted(usize, BTreeMap<String, String>),
    ErrandDone,
    Subscribed(Subscriber),
    Replied(usize, RunId, u64, Result<ReplyResult, CallError>),
    Published,
    Tick,
}

/// A place for a node; it has an id once it is registered.
#[derive(Default)]
struct Place {
    node: Option<Node>,
    /// Dropped, it ends the node's subscription.
    presence: Option<oneshot::Sender<()>>,
    /// Who waits until it listens.
    awaited: Option<oneshot::Sender<()>>,
}

/// News of a run on its way.
#[derive(Default)]
struct Letter {
    is_on_its_way: bool,
    is_wanted_again: bool,
    failures: u32,
}

/// The agents of one connection.
pub(crate) struct Crowd {
    client: Client,
    shared: Arc<Shared>,
    places: HashMap<usize, Place>,
    numbers: HashMap<NodeId, usize>,
    /// Nodes behind each doorbell.
    doorbells: HashMap<String, Vec<usize>>,
    letters: HashMap<(usize, RunId), Letter>,
    /// Counts connections, so that an answer to a lost request is recognised.
    connection: u64,
    /// Documents are the same for all nodes of a run.
    steps: HashMap<RunId, Arc<Result<Vec<Step>, String>>>,
    errands: VecDeque<Errand>,
    errands_on_their_way: usize,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    tasks: FuturesUnordered<BoxFuture<'static, Event>>,
    inbox: SelectAll<BoxStream<'static, Message>>,
    bells: SelectAll<Subscriber>,
}

impl Crowd {
    /// A crowd with these numbers; all are on their way.
    pub(crate) fn new(client: Client, shared: Arc<Shared>, numbers: impl Iterator<Item = usize>) -> Self {
        let places: HashMap<usize, Place> = numbers.map(|number| (number, Place::default())).collect();
        let mut errands: VecDeque<Errand> = places.keys().map(|number| Errand::Arrive(*number)).collect();
        errands.make_contiguous().sort_by_key(|errand| match errand {
            Errand::Arrive(number) | Errand::Greet(number) | Errand::Pull(number) => *number,
        });
        Self {
            client,
            shared,
            places,
            numbers: HashMap::new(),
            doorbells: HashMap::new(),
            letters: HashMap::new(),
            connection: 0,
            steps: HashMap::new(),
            errands,
            errands_on_their_way: 0,
            timers: BinaryHeap::new(),
            tasks: FuturesUnordered::new(),
            inbox: SelectAll::new(),
            bells: SelectAll::new(),
        }
    }

    /// Lives until the fleet is dropped.
    pub(crate) async fn live(
        mut self,
        mut links: mpsc::UnboundedReceiver<()>,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) {
        loop {
            self.start_errands();
            let next = self.timers.peek().map(|Reverse((at, _))| *at);
            let next = next.unwrap_or_else(|| Instant::now() + MINUTE);
            let event = tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => Event::Order(order),
                    None => break,
                },
                Some(()) = links.recv() => Event::Connected,
                Some(event) = self.tasks.next(), if !self.tasks.is_empty() => event,
                Some(message) = self.inbox.next(), if !self.inbox.is_empty() => Event::Message(message),
                Some(bell) = self.bells.next(), if !self.bells.is_empty() => Event::Doorbell(bell.subject.to_string()),
                () = tokio::time::sleep_until(next.into()) => Event::Tick,
            };
            self.apply(event);
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.told(&message),
            Event::Doorbell(bell) => {
                let nodes = self.doorbells.get(&bell).cloned().unwrap_or_default();
                self.errands.extend(nodes.into_iter().map(Errand::Pull));
            }
            Event::Connected => self.connected(),
            Event::Order(Order::Leave(number)) => {
                if let Some(place) = self.places.get_mut(&number) {
                    place.presence = None;
                }
            }
            Event::Order(Order::Return(number, listening)) => {
                if let Some(place) = self.places.get_mut(&number).filter(|place| place.presence.is_none()) {
                    place.awaited = Some(listening);
                    self.errands.push_front(Errand::Arrive(number));
                }
            }
            Event::Arrived(number, id, inbox, presence) => self.arrived(number, id, inbox, presence),
            Event::Greeted(number, tags) => self.listen_to(number, &tags),
            Event::ErrandDone => self.errands_on_their_way -= 1,
            Event::Subscribed(bell) => self.bells.push(bell),
            Event::Replied(number, run, connection, answer) => self.replied(number, run, connection, answer),
            Event::Published => {}
            Event::Tick => self.tick(),
        }
    }

    fn is_present(&self, number: usize) -> bool {
        self.places.get(&number).is_some_and(|place| place.presence.is_some())
    }

    fn told(&mut self, message: &Message) {
        let Some(number) = subject::node_of(&message.subject)
            .ok()
            .and_then(|id| self.numbers.get(&id).copied())
        else {
            return;
        };
        let moment = (Instant::now(), SystemClock.now());
        let effects = match message.subject.rsplit('.').next() {
            Some("work") => self.offered(number, message, moment),
            Some("cancel") => {
                let run = Cancel::decode(message.payload.as_ref())
                    .ok()
                    .and_then(|cancel| cancel.run_id.parse().ok());
                let node = self.places.get_mut(&number).and_then(|place| place.node.as_mut());
                run.zip(node)
                    .map(|(run, node)| node.cancel(run, moment.1))
                    .unwrap_or_default()
            }
            Some("config") => {
                self.errands.push_back(Errand::Greet(number));
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.carry_out(number, effects);
    }

    fn offered(&mut self, number: usize, message: &Message, moment: (Instant, Timestamp)) -> Vec<Effect> {
        let Ok(work) = WorkItem::decode(message.payload.as_ref()) else {
            return Vec::new();
        };
        let Ok(run) = work.run_id.parse::<RunId>() else {
            return Vec::new();
        };
        let traceparent = message.headers.as_ref().and_then(|headers| headers.get("traceparent"));
        let traceparent = traceparent.map(ToString::to_string);
        let outcome = self.shared.script.borrow().decide(number, &work);
        let steps = Arc::clone(self.steps.entry(run).or_insert_with(|| Arc::new(steps(&work))));
        let Some(node) = self.places.get_mut(&number).and_then(|place| place.node.as_mut()) else {
            return Vec::new();
        };
        node.work(&work, traceparent, steps, outcome, moment)
    }

    fn carry_out(&mut self, number: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ack(ack) => self.publish_ack(number, &ack),
                Effect::Reply(run) => self.send_news(number, run),
                Effect::Wake(run, at) => self.timers.push(Reverse((at, Timer::Wake(number, run)))),
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, timer))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            match timer {
                Timer::Wake(number, run) => {
                    let node = self.places.get_mut(&number).and_then(|place| place.node.as_mut());
                    let effects = node
                        .map(|node| node.wake(run, (now, SystemClock.now())))
                        .unwrap_or_default();
                    self.carry_out(number, effects);
                }
                Timer::Resend(number, run) => self.send_news(number, run),
                Timer::Pull(number) => {
                    self.errands.push_back(Errand::Pull(number));
                    self.timers.push(Reverse((now + jittered(MINUTE), Timer::Pull(number))));
                }
                Timer::Beat(number) => {
                    self.beat(number);
                    self.timers.push(Reverse((now + jittered(MINUTE), Timer::Beat(number))));
                }
            }
        }
    }

    fn beat(&mut self, number: usize) {
        let running = self.node(number).map_or(0, |node| node.unfinished().len());
        let heartbeat = Heartbeat {
            agent_version: calls::VERSION.to_owned(),
            running: u32::try_from(running).unwrap_or(u32::MAX),
            ..Heartbeat::default()
        };
        self.publish(number, subject::UP_HEARTBEAT, heartbeat.encode_to_vec());
    }

    fn publish_ack(&mut self, number: usize, ack: &Ack) {
        self.publish(number, subject::UP_ACK, ack.encode_to_vec());
    }

    fn publish(&mut self, number: usize, what: &str, payload: Vec<u8>) {
        let Some(node) = self.node(number).filter(|_| self.is_present(number)) else {
            return;
        };
        let (client, subject) = (self.client.clone(), subject::up(&node.id, what));
        let mut publish = async move {
            if let Err(error) = client.publish(subject, payload.into()).await {
                tracing::warn!(%error, "cannot publish");
            }
            Event::Published
        }
        .boxed();
        if publish.as_mut().now_or_never().is_none() {
            self.tasks.push(publish);
        }
    }

    fn node(&self, number: usize) -> Option<&Node> {
        self.places.get(&number)?.node.as_ref()
    }
}

/// Up to a tenth more or less, so that a fleet does not speak in chorus.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::random_range(0.9..1.1))
}
