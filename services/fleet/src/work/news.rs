//! News for whoever listens: CloudEvents on `muster.v1.event.fleet.node.<what>`, best effort.

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
        self.publish("registered", node_id, None).await;
    }

    /// A node was put out.
    pub(crate) async fn deregistered(&self, node_id: &str) {
        self.publish("deregistered", node_id, None).await;
    }

    /// Nodes came back or went away.
    pub(crate) async fn connection(&self, node_ids: &[String], status: PingStatus) {
        for node_id in node_ids {
            self.publish("connection", node_id, Some(status.word())).await;
        }
    }

    async fn publish(&self, what: &str, node_id: &str, ping_status: Option<&'static str>) {
        let event = Event {
            specversion: "1.0",
            id: Uuid::now_v7(),
            source: "muster/fleet",
            kind: format!("fleet.node.{what}"),
            subject: node_id,
            time: self.clock.now().to_string(),
            datacontenttype: "application/json",
            data: NodeData {
                instance_id: node_id,
                ping_status,
            },
        };
        let Ok(payload) = serde_json::to_vec(&event) else {
            return;
        };
        let subject = subject::event("fleet", "node", what);
        if let Err(error) = self.nats.publish(subject, payload.into()).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "an event was not published");
        }
    }
}
