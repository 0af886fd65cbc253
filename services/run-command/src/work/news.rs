//! News for whoever listens: CloudEvents on `muster.v1.event.run-command.<resource>.<what>`, best effort.

use async_nats::Client;
use muster_model::Timestamp;
use muster_wire::subject;
use serde::Serialize;
use uuid::Uuid;

use crate::store::record::{CommandNews, InvocationNews, Recorded};

/// Publishes what changed, after the commit.
#[derive(Debug, Clone)]
pub(crate) struct News {
    nats: Client,
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
struct CommandData<'a> {
    command_id: &'a str,
    status: &'a str,
    status_details: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InvocationData<'a> {
    command_id: &'a str,
    instance_id: &'a str,
    status: &'a str,
    status_details: &'a str,
}

impl News {
    /// News over this connection.
    pub(crate) fn new(nats: Client) -> Self {
        Self { nats }
    }

    /// Tells what a batch changed.
    pub(crate) async fn tell(&self, recorded: &Recorded, now: Timestamp) {
        for news in &recorded.invocations {
            self.publish(
                "invocation",
                &news.command_id,
                news.status_details,
                now,
                invocation(news),
            )
            .await;
        }
        for news in &recorded.commands {
            self.publish("command", &news.command_id, news.status_details, now, command(news))
                .await;
        }
    }

    async fn publish(&self, resource: &str, of: &str, what: &str, now: Timestamp, data: impl Serialize) {
        let event = Event {
            specversion: "1.0",
            id: Uuid::now_v7(),
            source: "muster/run-command",
            kind: format!("run-command.{resource}.{what}"),
            subject: of,
            time: now.to_string(),
            datacontenttype: "application/json",
            data,
        };
        let Ok(payload) = serde_json::to_vec(&event) else {
            return;
        };
        let subject = subject::event("run-command", resource, what);
        if let Err(error) = self.nats.publish(subject, payload.into()).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "an event was not published");
        }
    }
}

fn command(news: &CommandNews) -> CommandData<'_> {
    CommandData {
        command_id: &news.command_id,
        status: news.status,
        status_details: news.status_details,
    }
}

fn invocation(news: &InvocationNews) -> InvocationData<'_> {
    InvocationData {
        command_id: &news.command_id,
        instance_id: &news.node_id,
        status: news.status,
        status_details: news.status_details,
    }
}
