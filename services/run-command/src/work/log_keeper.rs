//! Takes what nodes have for log streams (run-command 8.4).
//!
//! Who asks is the subject's token, which the broker enforces; which stream it is follows from the command, so that a
//! node can write only where a command that was sent to it wanted it to.

use std::sync::Arc;

use async_nats::{Client, Message, Subscriber};
use futures::StreamExt;
use muster_boot::{BoxError, NodeQuota, Parts};
use muster_model::{Clock, CommandId};
use muster_proto::agent::v1::{LogAppendRequest, LogAppendResult};
use muster_store::Db;
use muster_wire::{Failure, NatsStatus, Refusal, reply_of, subject};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::domain::log_stream;
use crate::error::from_store;
use crate::store::{decode, read};
use crate::work::log_streams::{Event, LogStreams};

/// Replicas share what comes.
const QUEUE: &str = "muster-run-command";
/// Most events written at once.
const AT_ONCE: usize = 32;
/// Longest event, in bytes.
const LONGEST: usize = 256 * 1024;

/// Starts listening.
///
/// # Errors
/// If the bus does not take the subscription.
pub(crate) async fn start(parts: &Parts, db: Db, streams: LogStreams) -> Result<(), BoxError> {
    let subject = subject::rpc_of_all(subject::RPC_LOG_APPEND);
    let events = parts.nats.queue_subscribe(subject, QUEUE.to_owned()).await?;
    let keeper = Keeper {
        db,
        nats: parts.nats.clone(),
        clock: Arc::clone(&parts.clock),
        quota: parts.node_quota.clone(),
        streams,
    };
    parts
        .tasks
        .spawn("log keeper", keeper.listen(events, parts.tasks.stopping()));
    Ok(())
}

struct Keeper {
    db: Db,
    nats: Client,
    clock: Arc<dyn Clock>,
    quota: NodeQuota,
    streams: LogStreams,
}

impl Keeper {
    async fn listen(self, mut events: Subscriber, stopping: CancellationToken) -> Result<(), BoxError> {
        let keeper = &self;
        let until_stopped = events.by_ref().take_until(stopping.cancelled());
        until_stopped
            .for_each_concurrent(AT_ONCE, |event| keeper.answer(event))
            .await;
        if !stopping.is_cancelled() {
            return Err("the bus ended the subscription to log streams".into());
        }
        // Other replicas hear the rest from now on; what is here already is answered.
        if events.unsubscribe().await.is_ok() {
            events.for_each_concurrent(AT_ONCE, |event| keeper.answer(event)).await;
        }
        Ok(())
    }

    async fn answer(&self, message: Message) {
        let Some(reply) = reply_of(&message) else { return };
        let sent = match self.keep(&message).await {
            Ok(arrived) => {
                let result = LogAppendResult { arrived };
                self.nats.publish(reply, result.encode_to_vec().into()).await
            }
            Err(failure) => {
                let (mut headers, error) = NatsStatus::headers(&Status::from(failure));
                headers.insert("Nats-Service-Error", error.status.as_str());
                headers.insert("Nats-Service-Error-Code", error.code.to_string());
                self.nats.publish_with_headers(reply, headers, Vec::new().into()).await
            }
        };
        if let Err(error) = sent {
            // It is offered again.
            tracing::debug!(error = &error as &dyn std::error::Error, "an answer was not sent");
        }
    }

    async fn keep(&self, message: &Message) -> Result<u64, Failure> {
        self.quota.take(message)?;
        let refuse = |what: &str| Failure::from(Refusal::validation(what));
        let node = subject::node_of(&message.subject).map_err(|error| refuse(&error.to_string()))?;
        let request =
            LogAppendRequest::decode(message.payload.clone()).map_err(|_| refuse("the event cannot be read"))?;
        if !(1..=LONGEST).contains(&request.data.len()) {
            return Err(refuse("an event has from 1 to 262144 bytes"));
        }
        if request.offset.checked_add(request.data.len() as u64).is_none() {
            return Err(refuse("the event lies beyond the end of any stream"));
        }
        let none = || refuse("this command has no log streams on this node");
        let id: CommandId = request.run_id.parse().map_err(|_| none())?;
        let node = node.to_string();
        let sent = read::sent_to(&self.db, id, &node).await.map_err(from_store)?;
        let sent = sent.ok_or_else(none)?;
        let facts = decode(&sent.facts).map_err(from_store)?;
        if !log_stream::is_wanted(&facts) {
            return Err(none());
        }
        let now = self.clock.now();
        if log_stream::is_closed(sent.expires_at, now) {
            return Err(refuse(
                "this command has expired more than 25 hours ago: its log streams are closed",
            ));
        }
        if !sent.has_step(&request.step).map_err(from_store)? {
            return Err(refuse("the command's document has no step of this name"));
        }
        let event = Event {
            group: &log_stream::group(&facts),
            stream: &log_stream::stream(&id.to_string(), &node, &request.step, request.stream()),
            offset: request.offset,
            data: request.data,
        };
        let kept = self.streams.append(event, now).await;
        kept.map_err(|error| {
            // Said as a refusal, not as a service that is away, so that the text reaches the invocation's trace.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an event of a log stream was not kept"
            );
            refuse(&error.to_string())
        })
    }
}
