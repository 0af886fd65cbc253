//! Hears the bus and hands the coordinator what concerns it.

use std::convert::Infallible;

use async_nats::{Client, Message, SubscribeError, Subscriber};
use futures::StreamExt;
use muster_boot::{BoxError, NodeQuota, Parts, Tasks};
use muster_model::{NodeId, SignedDuration};
use muster_proto::agent::v1::{Ack, PullRequest, ReplyRequest, Verdict};
use muster_wire::reply_of;
use muster_wire::subject::{self, RPC_REPLY, RPC_WORK_PULL, UP_ACK};
use prost::Message as _;
use tokio::sync::mpsc;

use super::delivery::Delivery;
use super::input::{Asked, Door, Input, Inputs, NodeReply};
use super::{peers, spans};
use crate::contract::report;

/// Of the replicas in this group one answers each request of a node.
const GROUP: &str = "fan-out";

/// The subscriptions of a replica.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Every replica hears acks and greetings: only the one that works on a rollout knows it.
    acks: Subscriber,
    greetings: Subscriber,
    /// One replica answers.
    pulls: Subscriber,
    replies: Subscriber,
    unreachable: Subscriber,
    peers: Subscriber,
    quota: NodeQuota,
    nats: Client,
}

/// How much of it is heard.
#[derive(Debug)]
enum Ration {
    /// All: no node says it.
    None,
    /// What nobody answers: the rest is not heard.
    Unanswered(NodeQuota),
    /// Requests: who asks too much is told so.
    Asked(NodeQuota, Client),
}

impl Ration {
    async fn admits(&self, message: &Message) -> bool {
        match self {
            Self::None => true,
            Self::Unanswered(quota) => quota.hears(message),
            Self::Asked(quota, nats) => quota.admit(nats, message).await,
        }
    }
}

impl Listener {
    /// Subscribes. When this returns the broker knows.
    pub(crate) async fn start(parts: &Parts, delivery: &Delivery, holder: &str) -> Result<Self, BoxError> {
        let listener = Self::subscribe(parts, delivery, holder).await?;
        parts.nats.flush().await?;
        Ok(listener)
    }

    async fn subscribe(parts: &Parts, delivery: &Delivery, holder: &str) -> Result<Self, SubscribeError> {
        let nats = &parts.nats;
        let in_group = |operation| nats.queue_subscribe(subject::rpc_of_all(operation), GROUP.to_owned());
        Ok(Self {
            acks: nats.subscribe(subject::up_of_all(UP_ACK)).await?,
            greetings: nats.subscribe(subject::rpc_of_all(RPC_WORK_PULL)).await?,
            pulls: in_group(RPC_WORK_PULL).await?,
            replies: in_group(RPC_REPLY).await?,
            unreachable: nats.subscribe(delivery.inboxes()).await?,
            peers: nats.subscribe(peers::subjects(holder)).await?,
            quota: parts.node_quota.clone(),
            nats: nats.clone(),
        })
    }

    /// Starts handing on what comes. When the service stops nothing new is heard, but all is handed on that has come.
    pub(crate) fn listen(self, tasks: &Tasks, coordinator: &Inputs) -> Hearing {
        let (hearing, ended) = mpsc::channel(1);
        let hear = |name, from, ration, read| {
            spawn(tasks, (name, from, ration), coordinator.clone(), read, hearing.clone());
        };
        let unanswered = || Ration::Unanswered(self.quota.clone());
        let asked = || Ration::Asked(self.quota.clone(), self.nats.clone());
        hear("acks", self.acks, unanswered(), ack);
        // Every replica hears them; one answers.
        hear("greetings", self.greetings, unanswered(), present);
        hear("pulls", self.pulls, asked(), pull);
        hear("replies", self.replies, asked(), node_reply);
        hear("unreachable", self.unreachable, Ration::None, |message| {
            Delivery::unreachable(&message)
        });
        hear("peers", self.peers, Ration::None, peers::read);
        Hearing(ended)
    }
}

/// Lasts as long as one of the subscriptions does.
#[derive(Debug)]
pub(crate) struct Hearing(mpsc::Receiver<Infallible>);

impl Hearing {
    /// Waits until the last of them has ended.
    pub(crate) async fn ended(&mut self) {
        self.0.recv().await;
    }
}

type Read = fn(Message) -> Option<Input>;

fn spawn(
    tasks: &Tasks,
    (name, mut from, ration): (&'static str, Subscriber, Ration),
    coordinator: Inputs,
    read: Read,
    hearing: mpsc::Sender<Infallible>,
) {
    let stopping = tasks.stopping();
    tasks.spawn(name, async move {
        let _hearing = hearing;
        let mut draining = false;
        loop {
            let message = tokio::select! {
                biased;
                () = stopping.cancelled(), if !draining => {
                    draining = true;
                    from.drain().await?;
                    continue;
                }
                message = from.next() => message,
            };
            let Some(message) = message else {
                return if draining {
                    Ok(())
                } else {
                    Err("the subscription ended".into())
                };
            };
            if !ration.admits(&message).await {
                continue;
            }
            // What cannot be read has nobody to be told: a node's subject token is enforced by the broker.
            if let Some(input) = read(message)
                && coordinator.send(input).await.is_err()
            {
                return Ok(());
            }
        }
    });
}

fn ack(message: Message) -> Option<Input> {
    let node = subject::node_of(&message.subject).ok()?;
    let ack = Ack::decode(message.payload).ok()?;
    let verdict = match ack.verdict() {
        Verdict::Accepted => Door::Accepted,
        Verdict::Busy => {
            let after = i64::try_from(ack.retry_after_ms).unwrap_or(i64::MAX);
            Door::Busy(SignedDuration::from_millis(after))
        }
        Verdict::Refused => Door::Refused(ack.reason),
        Verdict::Unset => return None,
    };
    Some(Input::Ack {
        node,
        id: ack.run_id.parse().ok()?,
        verdict,
    })
}

fn present(message: Message) -> Option<Input> {
    let node = subject::node_of(&message.subject).ok()?;
    let pull = PullRequest::decode(message.payload).ok()?;
    let runs = pull.unfinished_run_ids.iter();
    Some(Input::Present {
        node,
        // Runs that no rollout can have started are none of ours.
        unfinished: runs.filter_map(|id| id.parse().ok()).collect(),
    })
}

fn pull(message: Message) -> Option<Input> {
    let (node, reply) = (subject::node_of(&message.subject).ok()?, reply_of(&message)?);
    // Longer ones are no nonces.
    let asked = PullRequest::decode(message.payload).unwrap_or_default();
    Some(Input::Expected(Box::new(Asked {
        node,
        reply,
        nonce: asked.nonce.into_iter().take(64).collect(),
        keys: asked.work_keys_serial,
    })))
}

fn node_reply(message: Message) -> Option<Input> {
    let node = subject::node_of(&message.subject).ok()?;
    let headers = message.headers.clone();
    let input = reply(node, false, message)?;
    if let (Some(headers), Input::Reply(reply)) = (headers, &input) {
        spans::tell(&headers, reply);
    }
    Some(input)
}

/// Reads a node's report, from itself or passed on by another replica.
pub(crate) fn reply(node: NodeId, forwarded: bool, message: Message) -> Option<Input> {
    let reply = reply_of(&message)?;
    let request = ReplyRequest::decode(message.payload.clone()).ok()?;
    Some(Input::Reply(Box::new(NodeReply {
        node,
        id: request.run_id.parse().ok()?,
        report: report(&request.records)?,
        records: request.records,
        payload: message.payload,
        forwarded,
        reply,
    })))
}
