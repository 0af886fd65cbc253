//! What goes out on the bus.

use async_nats::{Client, HeaderMap, Message, StatusCode, Subject};
use bytes::Bytes;
use muster_credential::Purpose;
use muster_credential::work::{Digest, Signature};
use muster_model::{NodeId, Timestamp};
use muster_proto::agent::v1::{Cancel, PullResult, ReplyResult, WorkItem};
use muster_wire::{Failure, NatsStatus, subject};
use prost::Message as _;
use tonic::Status;

use super::held::Act;
use super::input::{Asked, Input};
use super::seal::Seal;
use crate::contract::{wire_time, work_item};
use crate::domain::Rollout;

/// Publishes work, cancels, doorbells and answers.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    nats: Client,
    /// Root of the inboxes under which the broker says that nobody listens.
    inbox: String,
}

impl Delivery {
    pub(crate) fn new(nats: Client) -> Self {
        let inbox = nats.new_inbox();
        Self { nats, inbox }
    }

    /// How often the bus was reached anew.
    pub(crate) fn connects(&self) -> u64 {
        self.nats
            .statistics()
            .connects
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The subject of all answers to sendings.
    pub(crate) fn inboxes(&self) -> String {
        format!("{}.*.*.*", self.inbox)
    }

    /// Reads what came to an inbox: only the broker writes there, and only that nobody listens.
    pub(crate) fn unreachable(message: &Message) -> Option<Input> {
        if message.status != Some(StatusCode::NO_RESPONDERS) {
            return None;
        }
        let mut tokens = message.subject.rsplit('.');
        let attempt = tokens.next()?.parse().ok()?;
        let index = tokens.next()?.parse().ok()?;
        let id = tokens.next()?.parse().ok()?;
        Some(Input::Unreachable { id, index, attempt })
    }

    /// What goes to a target, to be signed and sent. Nothing if there is no such target.
    pub(crate) fn letter(parcel: &Parcel, rollout: &Rollout, act: Act, now: Timestamp) -> Option<Letter> {
        let (Act::Send { index, .. } | Act::Cancel { index }) = act;
        let node = rollout.target(index)?.node.clone();
        let id = rollout.id();
        let content = match act {
            Act::Cancel { .. } => Content::Cancel(Cancel { run_id: id.to_string() }.encode_to_vec().into()),
            Act::Send { attempt, .. } => {
                let left = rollout.deadline().duration_since(now).as_millis();
                let own = WorkItem {
                    node_id: node.to_string(),
                    time_to_live_ms: u64::try_from(left).unwrap_or(0),
                    attempt,
                    not_after_ms: rollout.deadline().as_millisecond(),
                    ..WorkItem::default()
                };
                Content::Work {
                    payload: work_item(&parcel.work, &own),
                    beginning: parcel.beginning.clone(),
                    shared: parcel.work.len(),
                    headers: parcel.headers.clone(),
                    place: format!("{id}.{index}.{attempt}"),
                }
            }
        };
        Some(Letter { node, content })
    }

    /// Sends a letter with its signature; if it is work, the broker answers if nobody listens.
    pub(crate) async fn send(&self, letter: Letter, signature: Option<Signature>) {
        let Letter { node, content } = letter;
        let sent = match content {
            Content::Work {
                payload,
                headers,
                place,
                ..
            } => {
                let (subject, reply) = (subject::work(&node), format!("{}.{place}", self.inbox));
                match with_signature(headers, signature) {
                    Some(headers) => {
                        let message = self
                            .nats
                            .publish_with_reply_and_headers(subject, reply, headers, payload);
                        message.await
                    }
                    None => self.nats.publish_with_reply(subject, reply, payload).await,
                }
            }
            Content::Cancel(payload) => match with_signature(None, signature) {
                Some(headers) => {
                    let message = self.nats.publish_with_headers(subject::cancel(&node), headers, payload);
                    message.await
                }
                None => self.nats.publish(subject::cancel(&node), payload).await,
            },
        };
        log_unsent(sent);
    }

    /// Asks every node with a tag to ask for its work.
    pub(crate) async fn ring(&self, key: &str, value: &str) {
        self.publish(subject::tag(key, value), Bytes::new()).await;
    }

    /// Tells a node what is committed of its report.
    pub(crate) async fn confirm(&self, reply: Subject, confirmed_sequence: u64) {
        let payload = ReplyResult { confirmed_sequence }.encode_to_vec();
        self.publish(reply, payload.into()).await;
    }

    /// Tells a node how many runs are expected from it, what time it is, and which keys it lacks.
    pub(crate) async fn expect(&self, asked: Asked, expected: u32, now: Timestamp, seal: &Seal) {
        let is_to_sign = !asked.nonce.is_empty();
        let answer = PullResult {
            expected,
            service_time: Some(wire_time(now)),
            work_keys: match is_to_sign {
                true => seal.news(asked.keys, now),
                false => Vec::new(),
            },
        };
        let payload = answer.encode_to_vec();
        let sign = || seal.sign(Purpose::PullAnswer, &asked.node, &payload, &asked.nonce);
        let signature = is_to_sign.then(sign).flatten();
        match with_signature(None, signature) {
            Some(headers) => {
                let sent = self.nats.publish_with_headers(asked.reply, headers, payload.into());
                log_unsent(sent.await);
            }
            None => self.publish(asked.reply, payload.into()).await,
        }
    }

    /// Gives an answer as it is.
    pub(crate) async fn answer(&self, reply: Subject, payload: Bytes) {
        self.publish(reply, payload).await;
    }

    /// Tells whoever asked that it did not work.
    pub(crate) async fn fail(&self, reply: Subject, failure: Failure) {
        let (mut headers, error) = NatsStatus::headers(&Status::from(failure));
        headers.insert("Nats-Service-Error", error.status.as_str());
        headers.insert("Nats-Service-Error-Code", error.code.to_string());
        log_unsent(self.nats.publish_with_headers(reply, headers, Bytes::new()).await);
    }

    /// Waits until all of it has left this process.
    pub(crate) async fn flush(&self) {
        if let Err(error) = self.nats.flush().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the bus is away");
        }
    }

    async fn publish(&self, subject: impl async_nats::subject::ToSubject, payload: Bytes) {
        log_unsent(self.nats.publish(subject, payload).await);
    }
}

/// Nothing is lost by a message that does not go out: work and cancels are repeated, and nodes ask again.
fn log_unsent(sent: Result<(), async_nats::PublishError>) {
    if let Err(error) = sent {
        tracing::debug!(error = &error as &dyn std::error::Error, "a message was not published");
    }
}

/// What a rollout sends to each of its targets.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// The `WorkItem`, encoded, without what differs from sending to sending.
    pub(crate) work: Bytes,
    /// Its digest, with which that of each message begins.
    beginning: Digest,
    /// Trace context.
    pub(crate) headers: Option<HeaderMap>,
}

impl Parcel {
    pub(crate) fn new(work: Bytes, traceparent: &str) -> Self {
        let headers = (!traceparent.is_empty()).then(|| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", traceparent);
            headers
        });
        let beginning = Digest::of(&work);
        Self {
            work,
            beginning,
            headers,
        }
    }
}

/// A message to a node that says what to do.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    node: NodeId,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Work {
        payload: Bytes,
        /// The digest of as many bytes of it as are shared with other nodes.
        beginning: Digest,
        shared: usize,
        headers: Option<HeaderMap>,
        /// By what the answer is known that nobody listens.
        place: String,
    },
    Cancel(Bytes),
}

impl Letter {
    /// For whom it is signed, for what, and over what.
    pub(crate) fn to_sign(&self) -> (&NodeId, Purpose, Digest) {
        match &self.content {
            Content::Work {
                payload,
                beginning,
                shared,
                ..
            } => {
                let own = payload.get(*shared..).unwrap_or_default();
                (&self.node, Purpose::WorkItem, beginning.clone().and(own))
            }
            Content::Cancel(payload) => (&self.node, Purpose::Cancel, Digest::of(payload)),
        }
    }
}

fn with_signature(headers: Option<HeaderMap>, signature: Option<Signature>) -> Option<HeaderMap> {
    let Some(signature) = signature else {
        return headers;
    };
    let mut headers = headers.unwrap_or_default();
    headers.insert(Signature::HEADER, signature.to_string());
    Some(headers)
}
