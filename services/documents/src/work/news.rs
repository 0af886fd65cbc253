//! News for whoever listens: CloudEvents on `muster.v1.event.documents.document.<what>`, best effort.

use async_nats::Client;
use muster_model::Timestamp;
use muster_wire::subject;
use serde::Serialize;
use uuid::Uuid;

/// Publishes what changed, after the commit.
#[derive(Debug, Clone)]
pub(crate) struct News {
    nats: Client,
}

#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: Uuid,
    source: &'static str,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_version: Option<String>,
}

impl News {
    /// News over this connection.
    pub(crate) fn new(nats: Client) -> Self {
        Self { nats }
    }

    /// Tells what became of a document, or of one version of it. Nothing of the content is in it.
    pub(crate) async fn tell(&self, what: &str, name: &str, version: Option<i64>, now: Timestamp) {
        let event = Event {
            specversion: "1.0",
            id: Uuid::now_v7(),
            source: "muster/documents",
            kind: format!("documents.document.{what}"),
            subject: name,
            time: now.to_string(),
            datacontenttype: "application/json",
            data: Data {
                name,
                document_version: version.map(|version| version.to_string()),
            },
        };
        let Ok(payload) = serde_json::to_vec(&event) else {
            return;
        };
        let subject = subject::event("documents", "document", what);
        if let Err(error) = self.nats.publish(subject, payload.into()).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "an event was not published");
        }
    }
}
