//! What goes out on the bus.

use async_nats::{Client, HeaderMap, Message, StatusCode, Subject};
use bytes::Bytes;
use muster_model::{NodeId, RolloutId, Timestamp};
use muster_proto::agent::v1::{Cancel, PullResult, ReplyResult};
use muster_wire::{Failure, NatsStatus, subject};
use prost::Message as _;
use tonic::Status;

use super::input::Input;
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

    /// Sends a target its work; the broker answers if nobody listens.
    pub(crate) async fn send(&self, parcel: &Parcel, rollout: &Rollout, index: u32, attempt: u32, now: Timestamp) {
        let Some(target) = rollout.target(index) else {
            return;
        };
        let left = rollout.deadline().duration_since(now).as_millis();
        let time_to_live = u64::try_from(left).unwrap_or(0);
        let payload = work_item(&parcel.work, &target.node, time_to_live, attempt);
        let subject = subject::work(&target.node);
        let reply = format!("{}.{}.{index}.{attempt}", self.inbox, rollout.id());
        let sent = match &parcel.headers {
            Some(headers) => {
                self.nats
                    .publish_with_reply_and_headers(subject, reply, headers.clone(), payload)
                    .await
            }
            None => self.nats.publish_with_reply(subject, reply, payload).await,
        };
        log_unsent(sent);
    }

    /// Tells a node to stop a run.
    pub(crate) async fn cancel(&self, node: &NodeId, id: RolloutId) {
        let payload = Cancel { run_id: id.to_string() }.encode_to_vec();
        self.publish(subject::cancel(node), payload.into()).await;
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

    /// Tells a node how many runs are expected from it, and what time it is.
    pub(crate) async fn expect(&self, reply: Subject, expected: u32, now: Timestamp) {
        let service_time = Some(wire_time(now));
        let payload = PullResult { expected, service_time }.encode_to_vec();
        self.publish(reply, payload.into()).await;
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
        Self { work, headers }
    }
}
