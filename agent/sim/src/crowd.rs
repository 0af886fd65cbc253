//! The agents of one connection: one loop that owns them, as the real agent's loop owns its runs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Client, HeaderMap, Message, Subscriber};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, SelectAll};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use muster_model::{Clock, NodeId, SystemClock};
use muster_proto::agent::v1::{Ack, Cancel, Heartbeat, ReplyRequest, ReplyResult, WorkItem};
use muster_wire::subject;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};

use crate::RunId;
use crate::calls::{self, CallError};
use crate::fleet::Shared;
use crate::node::{Effect, Node};
use crate::steps::{Step, steps};

/// Nodes of a crowd that register, greet or pull at the same time.
const WIDTH: usize = 64;
/// Between two pulls of a node, and between two heartbeats.
const MINUTE: Duration = Duration::from_secs(60);
/// The first wait of an unanswered request, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What the fleet's owner wants of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Vanish: no subscription, no request.
    Offline(usize),
    /// Come back.
    Online(usize),
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
            Event::Order(Order::Offline(number)) => {
                if let Some(place) = self.places.get_mut(&number) {
                    place.presence = None;
                }
            }
            Event::Order(Order::Online(number)) => self.errands.push_back(Errand::Arrive(number)),
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
        let behaviour = self.shared.script.borrow().decide(number, &work);
        let steps = Arc::clone(self.steps.entry(run).or_insert_with(|| Arc::new(steps(&work))));
        let Some(node) = self.places.get_mut(&number).and_then(|place| place.node.as_mut()) else {
            return Vec::new();
        };
        node.work(&work, traceparent, steps, behaviour, moment)
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

    fn send_news(&mut self, number: usize, run: RunId) {
        if !self.is_present(number) {
            return;
        }
        let Some(node) = self.node(number) else { return };
        let Some((records, traceparent, copies)) = node.news(run) else {
            return;
        };
        let subject = subject::rpc(&node.id, subject::RPC_REPLY);
        let letter = self.letters.entry((number, run)).or_default();
        if letter.is_on_its_way {
            letter.is_wanted_again = true;
            return;
        }
        letter.is_on_its_way = true;
        let connection = self.connection;
        let question = ReplyRequest {
            run_id: run.to_string(),
            records,
        };
        let mut headers = HeaderMap::new();
        if let Some(traceparent) = traceparent {
            headers.insert("traceparent", traceparent);
        }
        for copy in 0..copies {
            let (client, subject, headers, question) =
                (self.client.clone(), subject.clone(), headers.clone(), question.clone());
            self.tasks.push(Box::pin(async move {
                let answer = calls::call(&client, subject, headers, &question).await;
                if copy == 0 {
                    Event::Replied(number, run, connection, answer)
                } else {
                    Event::Published
                }
            }));
        }
    }

    fn replied(&mut self, number: usize, run: RunId, connection: u64, answer: Result<ReplyResult, CallError>) {
        if answer.is_err() && connection != self.connection {
            // A request of a lost connection has been sent anew already.
            return;
        }
        let Some(letter) = self.letters.get_mut(&(number, run)) else {
            return;
        };
        letter.is_on_its_way = false;
        let is_wanted_again = std::mem::take(&mut letter.is_wanted_again);
        match answer {
            Ok(answer) => {
                letter.failures = 0;
                let node = self.places.get_mut(&number).and_then(|place| place.node.as_mut());
                let has_more = node.is_some_and(|node| node.confirm(run, answer.confirmed_sequence));
                if has_more || is_wanted_again {
                    self.send_news(number, run);
                } else {
                    self.letters.remove(&(number, run));
                }
            }
            Err(error) => {
                tracing::debug!(%error, number, run = %run, "a reply was not taken");
                letter.failures += 1;
                let wait = FIRST_WAIT.saturating_mul(1 << letter.failures.min(8)).min(LONGEST_WAIT);
                self.timers
                    .push(Reverse((Instant::now() + jittered(wait), Timer::Resend(number, run))));
            }
        }
    }

    fn start_errands(&mut self) {
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

    fn start(&mut self, errand: Errand) {
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
    fn arrived(
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
    fn listen_to(&mut self, number: usize, tags: &BTreeMap<String, String>) {
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
    }

    /// The connection came back: everybody greets, pulls, and sends again what may have been lost.
    fn connected(&mut self) {
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

/// Up to a tenth more or less, so that a fleet does not speak in chorus.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::random_range(0.9..1.1))
}
