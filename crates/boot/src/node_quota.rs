//! How much a node may ask of a service (fleet 10): whoever has a node's credential can do no more than use that up.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::{Client, Message};
use muster_model::{Clock, NodeId, Quota, Rate, Timestamp};
use muster_wire::{Failure, NatsStatus, Reason, Refusal, reply_of, subject};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde::Deserialize;

/// Nodes that are remembered; more than any fleet that one replica hears.
const MOST_NODES: usize = 200_000;

/// The section `[node_quota]`: what each node may ask of each replica. The default of this type is no limit.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeQuotaSettings {
    /// Requests a second that can go on for ever; 0: no limit.
    pub messages_per_second: u32,
    /// Requests that may come at once after a pause.
    pub message_burst: u32,
    /// Bytes a second; 0: no limit.
    pub bytes_per_second: u32,
    /// Bytes that may come at once after a pause.
    pub byte_burst: u32,
}

/// What the nodes of a service have left.
#[derive(Debug, Clone)]
pub struct NodeQuota(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    clock: Arc<dyn Clock>,
    requests: Pair,
    /// Heartbeats and the like, so that they do not use up what a node may ask.
    unanswered: Pair,
    refused: Counter,
}

/// Messages and bytes; none: no limit.
#[derive(Debug)]
struct Pair {
    messages: Option<Mutex<Quota<NodeId>>>,
    bytes: Option<Mutex<Quota<NodeId>>>,
}

impl Pair {
    fn of(settings: &NodeQuotaSettings) -> Self {
        let buckets = |per_second: u32, burst: u32| {
            let rate = Rate {
                burst: f64::from(burst.max(1)),
                per_second: f64::from(per_second),
            };
            (per_second > 0).then(|| Mutex::new(Quota::new(rate, MOST_NODES)))
        };
        Self {
            messages: buckets(settings.messages_per_second, settings.message_burst),
            bytes: buckets(settings.bytes_per_second, settings.byte_burst),
        }
    }

    fn take(&self, node: &NodeId, length: usize, now: Timestamp) -> bool {
        let take = |buckets: &Option<Mutex<Quota<NodeId>>>, amount: f64| {
            buckets.as_ref().is_none_or(|buckets| {
                let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
                buckets.take_many(node.clone(), amount, now)
            })
        };
        take(&self.messages, 1.0) && take(&self.bytes, length as f64)
    }
}

impl NodeQuota {
    /// Everybody has all of it.
    #[must_use]
    pub fn new(settings: &NodeQuotaSettings, clock: Arc<dyn Clock>, registry: &mut Registry) -> Self {
        let refused = Counter::default();
        registry.register(
            "muster_node_quota_refused",
            "Requests and heartbeats of nodes that had used up their quota",
            refused.clone(),
        );
        Self(Arc::new(Buckets {
            clock,
            requests: Pair::of(settings),
            unanswered: Pair::of(settings),
            refused,
        }))
    }

    /// Takes a request of a node out of its quota. Who asks is the subject's token, which the broker enforces.
    ///
    /// # Errors
    /// `ThrottlingException` if it has none left: the agent keeps what it wanted to tell, and asks again later.
    pub fn take(&self, message: &Message) -> Result<(), Refusal> {
        let Ok(node) = subject::node_of(&message.subject) else {
            // Whoever reads it says so.
            return Ok(());
        };
        let (now, length) = (self.0.clock.now(), message.payload.len());
        if self.0.requests.take(&node, length, now) {
            return Ok(());
        }
        self.0.refused.inc();
        tracing::debug!(node = %node, "a node has used up its quota");
        let message = "this node asks too much at once: try again in a few seconds";
        Err(Refusal::new(Reason::ThrottlingException, message))
    }

    /// Whether what a node tells without asking is listened to: as much as it may ask, and counted apart. The rest is as
    /// good as not said.
    #[must_use]
    pub fn hears(&self, message: &Message) -> bool {
        let Ok(node) = subject::node_of(&message.subject) else {
            return true;
        };
        let (now, length) = (self.0.clock.now(), message.payload.len());
        let is_heard = self.0.unanswered.take(&node, length, now);
        if !is_heard {
            self.0.refused.inc();
        }
        is_heard
    }

    /// The same for a service that answers later: whoever has none left is answered here. Whether the request goes on.
    pub async fn admit(&self, nats: &Client, message: &Message) -> bool {
        let Err(refusal) = self.take(message) else {
            return true;
        };
        if let Some(reply) = reply_of(message) {
            let (mut headers, error) = NatsStatus::headers(&Failure::from(refusal).into());
            headers.insert("Nats-Service-Error", error.status.as_str());
            headers.insert("Nats-Service-Error-Code", error.code.to_string());
            if let Err(error) = nats.publish_with_headers(reply, headers, Vec::new().into()).await {
                // It asks again by itself.
                tracing::debug!(error = &error as &dyn std::error::Error, "an answer was not sent");
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use muster_model::{ManualClock, SignedDuration};

    use super::*;

    fn quota(clock: &ManualClock, messages: u32, bytes: u32) -> NodeQuota {
        let settings = NodeQuotaSettings {
            messages_per_second: messages,
            message_burst: 2,
            bytes_per_second: bytes,
            byte_burst: 100,
        };
        NodeQuota::new(&settings, Arc::new(clock.clone()), &mut Registry::default())
    }

    fn message(node: &NodeId, bytes: usize) -> Message {
        Message {
            subject: subject::rpc(node, subject::RPC_HELLO).into(),
            reply: None,
            payload: vec![0; bytes].into(),
            headers: None,
            status: None,
            description: None,
            length: bytes,
        }
    }

    #[test]
    fn each_node_has_its_own_quota_of_messages_and_of_bytes() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let (one, other) = (NodeId::random(), NodeId::random());
        let quota_of_messages = quota(&clock, 1, 0);
        let ask = |quota: &NodeQuota, node: &NodeId, bytes: usize| quota.take(&message(node, bytes)).is_ok();
        assert!(ask(&quota_of_messages, &one, 9_999) && ask(&quota_of_messages, &one, 9_999));
        let refusal = quota_of_messages.take(&message(&one, 0)).unwrap_err();
        assert_eq!(refusal.reason, Reason::ThrottlingException);
        assert!(ask(&quota_of_messages, &other, 0));
        // What is not answered has a quota of its own.
        let tell = |node: &NodeId| quota_of_messages.hears(&message(node, 0));
        assert!(tell(&one) && tell(&one) && !tell(&one) && tell(&other));
        clock.advance(SignedDuration::from_secs(1));
        assert!(ask(&quota_of_messages, &one, 0));

        let quota_of_bytes = quota(&clock, 0, 10);
        assert!(ask(&quota_of_bytes, &one, 150), "one large message passes");
        assert!(!ask(&quota_of_bytes, &one, 1) && ask(&quota_of_bytes, &other, 1));
        clock.advance(SignedDuration::from_secs(6));
        assert!(ask(&quota_of_bytes, &one, 1));
        let unlimited = quota(&clock, 0, 0);
        assert!((0..100).all(|_| ask(&unlimited, &one, 1_000)));
    }
}
