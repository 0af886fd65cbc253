//! News for whoever listens: CloudEvents on `muster.v1.event.fleet.{node,activation}.<what>`, best effort.

use std::sync::Arc;

use async_nats::Client;
use muster_boot::Parts;
use muster_model::Clock;
use muster_proto::Word;
use muster_proto::fleet::v1::PingStatus;
use muster_wire::subject;
use serde::Serialize;
use uuid::Uuid;

/// Publishes what changed, after the commit.
#[derive(Debug, Clone)]
pub(crate) struct News {
    nats: Client,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
struct Event<'a, D> {
    specversion: &'static str,
    id: Uuid,
    source: &'static str,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: D,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeData<'a> {
    instance_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ping_status: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClaimData<'a> {
    instance_id: &'a str,
    fingerprint: &'a str,
    source: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DistrustData<'a> {
    instance_id: &'a str,
    count: u32,
    reason: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlienData<'a> {
    public_key: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DenialData<'a> {
    activation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    source: &'a str,
}

impl News {
    /// News over the service's connection.
    pub(crate) fn new(parts: &Parts) -> Self {
        Self {
            nats: parts.nats.clone(),
            clock: Arc::clone(&parts.clock),
        }
    }

    /// A machine became a node.
    pub(crate) async fn registered(&self, node_id: &str) {
        self.of_node("registered", node_id, None).await;
    }

    /// A node was put out.
    pub(crate) async fn deregistered(&self, node_id: &str) {
        self.of_node("deregistered", node_id, None).await;
    }

    /// A node has another key.
    pub(crate) async fn key_rotated(&self, node_id: &str) {
        self.of_node("key-rotated", node_id, None).await;
    }

    /// Nodes came back or went away.
    pub(crate) async fn connection(&self, node_ids: &[String], status: PingStatus) {
        for node_id in node_ids {
            self.of_node("connection", node_id, Some(status.word())).await;
        }
    }

    /// The machine of a node is another one.
    pub(crate) async fn identity_changed(&self, node_id: &str) {
        self.of_node("identity-changed", node_id, None).await;
    }

    /// A node was sent what it does not obey: somebody else has the bus, or the credentials of a service.
    pub(crate) async fn distrusts(&self, node_id: &str, count: u32, reason: &str) {
        let data = DistrustData {
            instance_id: node_id,
            count,
            reason,
        };
        self.publish("node", "distrusts", node_id, data).await;
    }

    /// A machine wants to be a node: `clone`, one that is online with another key, so that one of the two is a copy;
    /// `doubtful`, a silent one, and others could tell what speaks for it.
    pub(crate) async fn claimed(&self, what: &str, node_id: &str, fingerprint: &str, source: &str) {
        let data = ClaimData {
            instance_id: node_id,
            fingerprint,
            source,
        };
        self.publish("node", what, node_id, data).await;
    }

    /// Somebody has connected with credentials of the key that signs nodes, and fleet has not signed them.
    pub(crate) async fn alien(&self, public_key: &str, name: &str) {
        self.publish("credential", "alien", public_key, AlienData { public_key, name })
            .await;
    }

    /// An activation did not let a machine in. Only here and in the log it is said why.
    pub(crate) async fn denied(&self, activation_id: &str, reason: &'static str, source: &str) {
        let data = DenialData {
            activation_id,
            reason: Some(reason),
            source,
        };
        self.publish("activation", "refused", activation_id, data).await;
    }

    /// An activation is locked after too many wrong codes.
    pub(crate) async fn locked(&self, activation_id: &str, source: &str) {
        let data = DenialData {
            activation_id,
            reason: None,
            source,
        };
        self.publish("activation", "locked", activation_id, data).await;
    }

    async fn of_node(&self, what: &str, node_id: &str, ping_status: Option<&'static str>) {
        let data = NodeData {
            instance_id: node_id,
            ping_status,
        };
        self.publish("node", what, node_id, data).await;
    }

    async fn publish(&self, resource: &str, what: &str, about: &str, data: impl Serialize) {
        let event = Event {
            specversion: "1.0",
            id: Uuid::now_v7(),
            source: "muster/fleet",
            kind: format!("fleet.{resource}.{what}"),
            subject: about,
            time: self.clock.now().to_string(),
            datacontenttype: "application/json",
            data,
        };
        let Ok(payload) = serde_json::to_vec(&event) else {
            return;
        };
        let subject = subject::event("fleet", resource, what);
        if let Err(error) = self.nats.publish(subject, payload.into()).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "an event was not published");
        }
    }
}
