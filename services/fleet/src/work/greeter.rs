//! Answers hellos, all that wait in one transaction: a fleet that reconnects says hello all at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_nats::{Client, Message};
use futures::StreamExt;
use muster_boot::{BoxError, Parts};
use muster_model::{Clock, NodeId, Timestamp};
use muster_proto::agent::v1::{HelloRequest, HelloResult, NodeFacts};
use muster_proto::aws::v1::Reason;
use muster_store::Db;
use muster_wire::{NatsStatus, Refusal, subject};
use prost::Message as _;
use tonic::Status;

use crate::Settings;
use crate::error::from_store;
use crate::store::ping;
use crate::work::Pulse;

/// Most hellos in one transaction.
const GROUP: usize = 1_000;

/// Starts answering.
///
/// # Errors
/// If the bus does not take the subscription.
pub(crate) async fn start(parts: &Parts, db: Db, pulse: Arc<Pulse>, settings: Settings) -> Result<(), BoxError> {
    let subject = subject::rpc_of_all(subject::RPC_HELLO);
    let hellos = parts.nats.queue_subscribe(subject, "fleet".to_owned()).await?;
    let mut hellos = hellos.ready_chunks(GROUP);
    let stopping = parts.tasks.stopping();
    let greeter = Greeter {
        db,
        nats: parts.nats.clone(),
        clock: Arc::clone(&parts.clock),
        pulse,
        heartbeat_seconds: settings.heartbeat_seconds,
    };
    parts.tasks.spawn("greeter", async move {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                Some(group) = hellos.next() => greeter.greet(group).await,
                else => return Err("the bus ended the subscription to hellos".into()),
            }
        }
    });
    Ok(())
}

struct Greeter {
    db: Db,
    nats: Client,
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
    heartbeat_seconds: u32,
}

impl Greeter {
    async fn greet(&self, group: Vec<Message>) {
        let now = self.clock.now();
        let mut facts: HashMap<String, NodeFacts> = HashMap::new();
        let mut known = Vec::new();
        for message in &group {
            match read(message) {
                Ok((node, told)) => {
                    facts.insert(node.to_string(), told);
                    known.push((message, node));
                }
                Err(status) => self.refuse(message, &status).await,
            }
        }
        let facts: Vec<_> = facts.into_iter().collect();
        match ping::hellos(&self.db, &facts, now.as_microsecond()).await {
            Ok(tags) => {
                for (message, node) in known {
                    match tags.get(node.as_str()) {
                        Some(tags) => self.welcome(message, &node, tags, now).await,
                        None => self.refuse(message, &stranger(&node)).await,
                    }
                }
            }
            Err(error) => {
                let status = Status::from(from_store(error));
                for (message, _) in known {
                    self.refuse(message, &status).await;
                }
            }
        }
    }

    async fn welcome(&self, message: &Message, node: &NodeId, tags: &BTreeMap<String, String>, now: Timestamp) {
        self.pulse.beat(node.as_str(), now.as_microsecond());
        let answer = HelloResult {
            tags: tags.clone().into_iter().collect(),
            heartbeat_seconds: self.heartbeat_seconds,
            service_time: Some(prost_types::Timestamp {
                seconds: now.as_second(),
                nanos: now.subsec_nanosecond(),
            }),
        };
        if let Some(reply) = message.reply.clone() {
            // A lost answer is asked for again.
            let _ = self.nats.publish(reply, answer.encode_to_vec().into()).await;
        }
    }

    async fn refuse(&self, message: &Message, status: &Status) {
        if let Some(reply) = message.reply.clone() {
            let (mut headers, error) = NatsStatus::headers(status);
            headers.insert("Nats-Service-Error", error.status.as_str());
            headers.insert("Nats-Service-Error-Code", error.code.to_string());
            let _ = self.nats.publish_with_headers(reply, headers, Vec::new().into()).await;
        }
    }
}

fn read(message: &Message) -> Result<(NodeId, NodeFacts), Status> {
    let node = subject::node_of(&message.subject).map_err(|error| Refusal::validation(error.to_string()))?;
    let hello = HelloRequest::decode(message.payload.clone())
        .map_err(|error| Refusal::validation(format!("the hello cannot be read: {error}")))?;
    Ok((node, hello.facts.unwrap_or_default()))
}

fn stranger(node: &NodeId) -> Status {
    Refusal::new(
        Reason::InvalidInstanceId,
        format!("{node} is no managed node: register again"),
    )
    .into()
}
