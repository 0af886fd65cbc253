//! Answers hellos, all that wait in one transaction: a fleet that reconnects says hello all at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_nats::{Client, Message, Subscriber};
use futures::StreamExt;
use futures::stream::ReadyChunks;
use muster_boot::{BoxError, NodeQuota, Parts};
use muster_model::{Clock, NodeId, Timestamp};
use muster_proto::agent::v1::{HelloRequest, HelloResult};
use muster_proto::aws::v1::Reason;
use muster_proto::fleet::v1::PingStatus;
use muster_store::{Db, StoreError};
use muster_wire::{Refusal, subject};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::Settings;
use crate::domain::facts::Facts;
use crate::domain::identity::{Attributes, Recognition};
use crate::error::from_store;
use crate::store::hello::{Standing, greet};
use crate::store::identity;

use crate::work::{Metrics, News, answer};

/// Replicas share the hellos.
const QUEUE: &str = "fleet";
/// Most hellos in one transaction.
const GROUP: usize = 1_024;

/// Starts answering.
///
/// # Errors
/// If the bus does not take the subscription.
pub(crate) async fn start(
    parts: &Parts,
    db: Db,
    settings: &Settings,
    news: News,
    metrics: Metrics,
) -> Result<(), BoxError> {
    let subject = subject::rpc_of_all(subject::RPC_HELLO);
    let hellos = parts.nats.queue_subscribe(subject, QUEUE.to_owned()).await?;
    let greeter = Greeter {
        db,
        nats: parts.nats.clone(),
        clock: Arc::clone(&parts.clock),
        heartbeat_seconds: settings.heartbeat_seconds,
        quota: parts.node_quota.clone(),
        news,
        metrics,
    };
    let listening = greeter.listen(hellos.ready_chunks(GROUP), parts.tasks.stopping());
    parts.tasks.spawn("greeter", listening);
    Ok(())
}

struct Greeter {
    db: Db,
    nats: Client,
    clock: Arc<dyn Clock>,
    heartbeat_seconds: u32,
    quota: NodeQuota,
    news: News,
    metrics: Metrics,
}

/// Who said hello in a message, or why it cannot be read.
type Read<'a> = (&'a Message, Result<NodeId, Refusal>);

impl Greeter {
    async fn listen(self, mut hellos: ReadyChunks<Subscriber>, stopping: CancellationToken) -> Result<(), BoxError> {
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                group = hellos.next() => match group {
                    Some(group) => self.greet(&group).await,
                    None => return Err("the bus ended the subscription to hellos".into()),
                },
            }
        }
        // Other replicas hear the rest from now on; what is here already is answered.
        if hellos.get_mut().unsubscribe().await.is_ok() {
            while let Some(group) = hellos.next().await {
                self.greet(&group).await;
            }
        }
        Ok(())
    }

    async fn greet(&self, group: &[Message]) {
        let now = self.clock.now();
        let mut told: HashMap<String, Facts> = HashMap::with_capacity(group.len());
        let mut machines: HashMap<String, Attributes> = HashMap::with_capacity(group.len());
        let read: Vec<Read<'_>> = group
            .iter()
            .map(|message| match self.quota.take(message).and_then(|()| read(message)) {
                Ok((node, facts, attributes)) => {
                    told.insert(node.to_string(), facts);
                    machines.insert(node.to_string(), attributes);
                    (message, Ok(node))
                }
                Err(refusal) => (message, Err(refusal)),
            })
            .collect();
        let greeted = match self.recognise(&machines, now).await {
            Ok(changed) => {
                let doubted = changed.keys().cloned().collect();
                let greeted = greet(&self.db, &told, &doubted, now.as_microsecond()).await;
                greeted.map(|greeted| (greeted, changed))
            }
            Err(error) => Err(error),
        };
        let (greeted, changed) = match greeted {
            Ok(both) => both,
            Err(error) => {
                // They ask again; whoever waits for the database need not wait here too.
                let status = Status::from(from_store(error));
                for (message, _) in read {
                    answer::refuse(&self.nats, message, &status).await;
                }
                return;
            }
        };
        for (message, node) in read {
            let standing = node.and_then(|node| match greeted.standing.get(node.as_str()) {
                Some(Standing::Managed(tags)) => match changed.get(node.as_str()) {
                    Some(fingerprint) => Err(another(&node, fingerprint)),
                    None => Ok(tags),
                },
                Some(Standing::Deregistered) => Err(stranger(&node, "deregistered")),
                None => Err(stranger(&node, "unknown")),
            });
            match standing {
                Ok(tags) => self.welcome(message, tags, now).await,
                Err(refusal) => {
                    self.metrics.refused_hellos.inc();
                    answer::refuse(&self.nats, message, &refusal.into()).await;
                }
            }
        }
        self.news.connection(&greeted.back, PingStatus::Online).await;
    }

    /// Compares machines with those that their nodes were; gives the nodes whose machines are others, with the
    /// fingerprints of these.
    async fn recognise(
        &self,
        machines: &HashMap<String, Attributes>,
        now: Timestamp,
    ) -> Result<HashMap<String, String>, StoreError> {
        let ids: Vec<&str> = machines.keys().map(String::as_str).collect();
        let known = identity::of_nodes(&self.db, &ids).await?;
        let (mut learned, mut changed) = (Vec::new(), HashMap::new());
        for (node_id, told) in machines {
            match known.get(node_id).map(|stored| stored.recognise(told)) {
                Some(Recognition::Learn(known)) => learned.push((node_id.as_str(), known)),
                Some(Recognition::Changed { fingerprint }) => {
                    changed.insert(node_id.clone(), fingerprint);
                }
                Some(Recognition::Same) | None => {}
            }
        }
        if !learned.is_empty() {
            identity::learn(&self.db, &learned).await?;
        }
        if !changed.is_empty() {
            let claims: Vec<_> = changed
                .iter()
                .map(|(node_id, fingerprint)| (node_id.as_str(), fingerprint.as_str()))
                .collect();
            for node_id in identity::doubt(&self.db, &claims, now.as_microsecond()).await? {
                tracing::error!(
                    node_id,
                    "the machine of a node is another one: approve it, or put the node out"
                );
                self.news.identity_changed(&node_id).await;
            }
        }
        Ok(changed)
    }

    async fn welcome(&self, message: &Message, tags: &BTreeMap<String, String>, now: Timestamp) {
        self.metrics.hellos.inc();
        let answer = HelloResult {
            tags: tags.clone().into_iter().collect(),
            heartbeat_seconds: self.heartbeat_seconds,
            service_time: Some(prost_types::Timestamp {
                seconds: now.as_second(),
                nanos: now.subsec_nanosecond(),
            }),
        };
        answer::give(&self.nats, message, answer.encode_to_vec()).await;
    }
}

/// Whoever a hello claims to be from inside, it is from whom the subject says.
fn read(message: &Message) -> Result<(NodeId, Facts, Attributes), Refusal> {
    let node = subject::node_of(&message.subject).map_err(|error| Refusal::validation(error.to_string()))?;
    let hello = HelloRequest::decode(message.payload.clone())
        .map_err(|error| Refusal::validation(format!("the hello cannot be read: {error}")))?;
    let attributes = Attributes::read(&hello.attributes);
    Ok((node, hello.facts.unwrap_or_default().into(), attributes))
}

pub(crate) fn another(node: &NodeId, fingerprint: &str) -> Refusal {
    let message = format!(
        "IdentityChanged: this machine is not the one that registered as {node}; if its hardware was changed, approve it \
         with `muster nodes approve {node} --fingerprint {fingerprint}`; if it is a copy, register it with --new"
    );
    Refusal::new(Reason::ConflictException, message)
}

fn stranger(node: &NodeId, why: &str) -> Refusal {
    let message = format!("{node} is no managed node ({why}): register again");
    Refusal::new(Reason::InvalidInstanceId, message)
}
