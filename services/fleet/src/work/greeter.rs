//! Answers hellos, all that wait in one transaction: a fleet that reconnects says hello all at once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_nats::{Client, Message, Subscriber};
use futures::StreamExt;
use futures::stream::ReadyChunks;
use muster_boot::{BoxError, NodeQuota, Parts};
use muster_model::{Clock, NodeId, Timestamp};
use muster_proto::agent::v1::{ConfigChanged, HelloRequest, HelloResult};
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
use crate::domain::rotation;
use crate::domain::session::{Heard, is_session};
use crate::error::from_store;
use crate::store::hello::{Greeted, Standing, greet};
use crate::store::{identity, key, session};

use crate::work::{Metrics, News, answer};

/// Replicas share the hellos.
const QUEUE: &str = "fleet";
/// Most hellos in one transaction.
const GROUP: usize = 1_024;
/// Hellos of one node that are looked at in a group; each takes a transaction of its own.
const ROUNDS: usize = 4;

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
        key_days: (!settings.node_key_file.is_empty()).then_some(settings.key_days),
        quarantine_clones: settings.quarantine_clones,
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
    /// How long a node keeps a key; none where the bus needs none.
    key_days: Option<u32>,
    quarantine_clones: bool,
    quota: NodeQuota,
    news: News,
    metrics: Metrics,
}

/// Hellos of which each is of another node.
#[derive(Default)]
struct Round<'a> {
    speakers: Vec<(&'a Message, NodeId)>,
    told: HashMap<String, Facts>,
    machines: HashMap<String, Attributes>,
    /// The sessions of those that have one.
    sessions: HashMap<String, String>,
}

impl<'a> Round<'a> {
    fn has(&self, node: &NodeId) -> bool {
        self.told.contains_key(node.as_str())
    }

    fn add(&mut self, message: &'a Message, hello: Hello) {
        let id = || hello.node.to_string();
        self.told.insert(id(), hello.facts);
        self.machines.insert(id(), hello.attributes);
        if !hello.session.is_empty() {
            self.sessions.insert(id(), hello.session);
        }
        self.speakers.push((message, hello.node));
    }
}

/// What a round of hellos came to.
struct Outcome {
    greeted: Greeted,
    /// Whose machines are others, with the fingerprints of these.
    changed: HashMap<String, String>,
    /// Who needs another key.
    old: HashSet<String>,
    /// What it means that these nodes speak in these sessions.
    heard: HashMap<String, Heard>,
}

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
        // Two hellos of one node may come from two machines: each is judged by what it says itself.
        let mut rounds: Vec<Round<'_>> = Vec::new();
        for message in group {
            match self.quota.take(message).and_then(|()| read(message)) {
                Ok(hello) => {
                    if rounds.iter().all(|round| round.has(&hello.node)) && rounds.len() < ROUNDS {
                        rounds.push(Round::default());
                    }
                    match rounds.iter_mut().find(|round| !round.has(&hello.node)) {
                        Some(round) => round.add(message, hello),
                        None => {
                            let text = "this node says hello too often at once: try again in a few seconds";
                            self.refuse(message, Refusal::new(Reason::ThrottlingException, text))
                                .await;
                        }
                    }
                }
                Err(refusal) => self.refuse(message, refusal).await,
            }
        }
        for round in rounds {
            self.answer(round, now).await;
        }
    }

    async fn refuse(&self, message: &Message, refusal: Refusal) {
        self.metrics.refused_hellos.inc();
        answer::refuse(&self.nats, message, &refusal.into()).await;
    }

    async fn answer(&self, round: Round<'_>, now: Timestamp) {
        let outcome = match self.consider(&round, now).await {
            Ok(outcome) => outcome,
            Err(error) => {
                // They ask again; whoever waits for the database need not wait here too.
                let status = Status::from(from_store(error));
                for (message, _) in round.speakers {
                    answer::refuse(&self.nats, message, &status).await;
                }
                return;
            }
        };
        for (message, node) in round.speakers {
            match self.judge(&outcome, &node) {
                Ok(tags) => {
                    let is_old = outcome.old.contains(node.as_str());
                    self.welcome(message, tags, is_old, now).await;
                }
                Err(refusal) => self.refuse(message, refusal).await,
            }
        }
        self.news.connection(&outcome.greeted.back, PingStatus::Online).await;
        self.tell(&outcome.heard).await;
    }

    /// The tags of a node that may go on.
    fn judge<'a>(&self, outcome: &'a Outcome, node: &NodeId) -> Result<&'a BTreeMap<String, String>, Refusal> {
        let heard = outcome.heard.get(node.as_str());
        let standing = outcome.greeted.standing.get(node.as_str());
        if let (Some(Standing::Managed(_)), Some(fingerprint)) = (standing, outcome.changed.get(node.as_str())) {
            return Err(another(node, fingerprint));
        }
        match standing {
            Some(Standing::Managed(_)) if self.is_copy(heard) => Err(copy(node)),
            Some(Standing::Managed(tags)) => Ok(tags),
            Some(Standing::Deregistered) => Err(stranger(node, "deregistered")),
            None => Err(stranger(node, "unknown")),
        }
    }

    /// Whether whoever was heard is refused as a copy.
    fn is_copy(&self, heard: Option<&Heard>) -> bool {
        self.quarantine_clones && heard == Some(&Heard::Quarantined)
    }

    /// Asks nodes that speak in a new session whether somebody else is there, and tells of those where there is. A copy
    /// that was answered before it was found to be one is asked again, to be refused.
    async fn tell(&self, heard: &HashMap<String, Heard>) {
        for (node_id, heard) in heard {
            match heard {
                Heard::Known | Heard::Quarantined => continue,
                Heard::New => {}
                Heard::Clone => {
                    tracing::error!(
                        node_id,
                        "two machines speak with the key of one node: one of the two is a copy"
                    );
                    self.news.claimed("clone", node_id, "", "").await;
                }
            }
            let Ok(node) = node_id.parse::<NodeId>() else { continue };
            let changed = ConfigChanged {}.encode_to_vec();
            if let Err(error) = self.nats.publish(subject::config(&node), changed.into()).await {
                // It shows when they say hello by themselves.
                tracing::debug!(error = &error as &dyn std::error::Error, "a node was not asked again");
            }
        }
    }

    /// Writes down what was told by those that are the nodes' own machines.
    async fn consider(&self, round: &Round<'_>, now: Timestamp) -> Result<Outcome, StoreError> {
        let at = now.as_microsecond();
        let (mut learned, changed) = self.recognise(&round.machines, now).await?;
        // A machine that is another one has no say in which of two is the node.
        let mut sessions = round.sessions.clone();
        sessions.retain(|node_id, _| !changed.contains_key(node_id));
        let heard = session::hear(&self.db, &sessions, at).await?;
        learned.retain(|(node_id, _)| !self.is_copy(heard.get(*node_id)));
        if !learned.is_empty() {
            identity::learn(&self.db, &learned).await?;
        }
        let copies = heard.iter().filter(|(_, heard)| self.is_copy(Some(heard)));
        let doubted = changed
            .keys()
            .chain(copies.map(|(node_id, _)| node_id))
            .cloned()
            .collect();
        let greeted = greet(&self.db, &round.told, &doubted, at).await?;
        let old = match self.key_days {
            Some(days) => {
                let nodes: Vec<&str> = round.told.keys().map(String::as_str).collect();
                key::due(&self.db, &nodes, rotation::cutoff(at, days)).await?
            }
            None => HashSet::new(),
        };
        Ok(Outcome {
            greeted,
            changed,
            old,
            heard,
        })
    }

    /// Compares machines with those that their nodes were; gives what is to be remembered of nodes, and the nodes whose
    /// machines are others, with the fingerprints of these.
    async fn recognise<'a>(
        &self,
        machines: &'a HashMap<String, Attributes>,
        now: Timestamp,
    ) -> Result<(Vec<(&'a str, Attributes)>, HashMap<String, String>), StoreError> {
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
        Ok((learned, changed))
    }

    async fn welcome(&self, message: &Message, tags: &BTreeMap<String, String>, rotate_key: bool, now: Timestamp) {
        self.metrics.hellos.inc();
        let answer = HelloResult {
            tags: tags.clone().into_iter().collect(),
            heartbeat_seconds: self.heartbeat_seconds,
            service_time: Some(prost_types::Timestamp {
                seconds: now.as_second(),
                nanos: now.subsec_nanosecond(),
            }),
            rotate_key,
        };
        answer::give(&self.nats, message, answer.encode_to_vec()).await;
    }
}

struct Hello {
    node: NodeId,
    facts: Facts,
    attributes: Attributes,
    /// Empty where the agent has none.
    session: String,
}

/// Whoever a hello claims to be from inside, it is from whom the subject says.
fn read(message: &Message) -> Result<Hello, Refusal> {
    let node = subject::node_of(&message.subject).map_err(|error| Refusal::validation(error.to_string()))?;
    let hello = HelloRequest::decode(message.payload.clone())
        .map_err(|error| Refusal::validation(format!("the hello cannot be read: {error}")))?;
    Ok(Hello {
        node,
        attributes: Attributes::read(&hello.attributes),
        facts: hello.facts.unwrap_or_default().into(),
        session: Some(hello.session).filter(|text| is_session(text)).unwrap_or_default(),
    })
}

/// The agent knows the first word.
fn copy(node: &NodeId) -> Refusal {
    let message = format!(
        "Clone: another machine that was there before speaks with the key of {node}; if this is the copy, register it \
         with --new; if it is the other one, stop that and approve this one with `muster nodes approve {node}`"
    );
    Refusal::new(Reason::ConflictException, message)
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
