//! Passes on what concerns a rollout that another replica works on.
//!
//! Every replica listens on `muster.v1.fanout.<holder>.>`, where `<holder>` names the running process:
//! `reply.<node>` takes a node's report, `cancel` an owner's cancel. Nothing is passed on twice.

use std::time::Duration;

use async_nats::client::Request;
use async_nats::{Client, Message};
use bytes::Bytes;
use futures::StreamExt;
use muster_boot::Parts;
use muster_model::{NodeId, RolloutId};
use muster_proto::fanout::v1::CancelRolloutRequest;
use muster_wire::{Failure, NatsStatus, reply_of};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::delivery::Delivery;
use super::input::{Answer, Input, NodeReply};
use super::listener;
use crate::contract::{node_id, rollout_id};
use crate::error::unavailable;

/// Messages on their way to other replicas at once.
const AT_ONCE: usize = 256;
/// How long the other replica may take to commit.
const PATIENCE: Duration = Duration::from_secs(5);

/// The subjects on which `holder` hears from other replicas.
pub(crate) fn subjects(holder: &str) -> String {
    format!("muster.v1.fanout.{holder}.>")
}

/// Reads what another replica passed on.
pub(crate) fn read(message: Message) -> Option<Input> {
    let mut tokens = message.subject.split('.').skip(4);
    match (tokens.next()?, tokens.next()) {
        ("reply", Some(node)) => {
            let node = node.parse().ok()?;
            listener::reply(node, true, message)
        }
        ("cancel", None) => {
            let reply = reply_of(&message)?;
            let request = CancelRolloutRequest::decode(message.payload).ok()?;
            let nodes = request
                .node_ids
                .iter()
                .map(|id| node_id(id))
                .collect::<Result<_, _>>()
                .ok()?;
            Some(Input::Cancel {
                id: rollout_id(&request.rollout_id).ok()?,
                nodes,
                only_unsent: request.only_unsent,
                forwarded: true,
                answer: Answer::Bus(reply),
            })
        }
        _ => None,
    }
}

#[derive(Debug)]
struct Letter {
    subject: String,
    payload: Bytes,
    answer: Answer,
}

/// The way to the other replicas.
#[derive(Debug)]
pub(crate) struct Peers(mpsc::UnboundedSender<Letter>);

impl Peers {
    /// Starts the task that passes on.
    pub(crate) fn start(parts: &Parts, delivery: Delivery) -> Self {
        let (sender, letters) = mpsc::unbounded_channel();
        let nats = parts.nats.clone();
        let stopping = parts.tasks.stopping();
        parts.tasks.spawn("peers", async move {
            let passing = UnboundedReceiverStream::new(letters)
                .for_each_concurrent(AT_ONCE, |letter| pass_on(&nats, &delivery, letter));
            tokio::select! {
                () = stopping.cancelled() => {}
                () = passing => {}
            }
            Ok(())
        });
        Self(sender)
    }

    /// Passes a node's report on.
    pub(crate) fn reply(&self, holder: &str, reply: NodeReply) {
        self.send(Letter {
            subject: format!("muster.v1.fanout.{holder}.reply.{}", reply.node),
            payload: reply.payload,
            answer: Answer::Bus(reply.reply),
        });
    }

    /// Passes an owner's cancel on.
    pub(crate) fn cancel(&self, holder: &str, id: RolloutId, nodes: &[NodeId], only_unsent: bool, answer: Answer) {
        let request = CancelRolloutRequest {
            rollout_id: id.to_string(),
            node_ids: nodes.iter().map(ToString::to_string).collect(),
            only_unsent,
        };
        self.send(Letter {
            subject: format!("muster.v1.fanout.{holder}.cancel"),
            payload: request.encode_to_vec().into(),
            answer,
        });
    }

    fn send(&self, letter: Letter) {
        // While the service stops nobody is answered, and everybody asks again.
        let _ = self.0.send(letter);
    }
}

async fn pass_on(nats: &Client, delivery: &Delivery, letter: Letter) {
    let request = Request::new().payload(letter.payload).timeout(Some(PATIENCE));
    let outcome = match nats.send_request(letter.subject, request).await {
        Ok(answer) => match answer.headers.as_ref().and_then(NatsStatus::of) {
            Some(status) => Err(Failure::from_status(&status)),
            None => Ok(answer.payload),
        },
        // It has just died: its rollouts will be taken over.
        Err(_) => Err(unavailable("the replica that works on the rollout")),
    };
    match (letter.answer, outcome) {
        (Answer::Call(call), outcome) => {
            // A caller that went away does not need the answer.
            let _ = call.send(outcome.map(|_| ()));
        }
        (Answer::Bus(reply), Ok(payload)) => delivery.answer(reply, payload).await,
        (Answer::Bus(reply), Err(failure)) => delivery.fail(reply, failure).await,
    }
}
