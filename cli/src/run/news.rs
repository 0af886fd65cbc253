//! What the server tells while a command runs.
//!
//! Events may be lost, so they are only a doorbell: whoever waits asks again now and then.

use async_nats::Subscriber;
use futures::StreamExt as _;
use muster_wire::subject;
use serde::Deserialize;

use crate::complaint::Complaint;
use crate::server::Server;

/// Events about commands and invocations, of all commands.
#[derive(Debug)]
pub(super) struct News {
    events: futures::stream::Select<Subscriber, Subscriber>,
}

/// Something happened to a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// A node ended its part.
    Ended { node: String },
    /// A node cannot be reached; the server waits for it.
    Delayed { node: String },
    /// Something else.
    Other,
}

#[derive(Deserialize)]
struct Event {
    subject: String,
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    instance_id: Option<String>,
    status: String,
}

impl News {
    pub(super) async fn subscribe(server: &Server) -> Result<Self, Complaint> {
        let broken = |error: async_nats::SubscribeError| Complaint::Broken(error.into());
        let subject = |resource| subject::event("run-command", resource, "*");
        let invocations = server.nats.subscribe(subject("invocation")).await.map_err(broken)?;
        let commands = server.nats.subscribe(subject("command")).await.map_err(broken)?;
        Ok(Self {
            events: futures::stream::select(invocations, commands),
        })
    }

    /// The next news of this command; never comes if the connection is gone for good.
    pub(super) async fn of(&mut self, command: &str) -> Happened {
        while let Some(message) = self.events.next().await {
            if let Some(happened) = read(&message.payload, command) {
                return happened;
            }
        }
        std::future::pending().await
    }
}

fn read(payload: &[u8], command: &str) -> Option<Happened> {
    let event: Event = serde_json::from_slice(payload).ok()?;
    if event.subject != command {
        return None;
    }
    Some(match (event.data.instance_id, event.data.status.as_str()) {
        (Some(node), "Success" | "Failed" | "TimedOut" | "Cancelled") => Happened::Ended { node },
        (Some(node), "Delayed") => Happened::Delayed { node },
        _ => Happened::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: &str, data: &str) -> String {
        format!(r#"{{"specversion":"1.0","subject":"{subject}","data":{data}}}"#)
    }

    #[test]
    fn only_news_of_our_command_is_heard() {
        let ended = r#"{"commandId":"c-1","instanceId":"mi-1","status":"Failed","statusDetails":"Failed"}"#;
        let node = "mi-1".to_owned();
        assert_eq!(
            read(event("c-1", ended).as_bytes(), "c-1"),
            Some(Happened::Ended { node })
        );
        assert_eq!(read(event("c-2", ended).as_bytes(), "c-1"), None);
        assert_eq!(read(b"nonsense", "c-1"), None);
    }

    #[test]
    fn what_happened_is_told_apart() {
        let check = |data: &str, expected| assert_eq!(read(event("c", data).as_bytes(), "c"), Some(expected), "{data}");
        let node = || "mi-1".to_owned();
        check(
            r#"{"instanceId":"mi-1","status":"Delayed"}"#,
            Happened::Delayed { node: node() },
        );
        check(
            r#"{"instanceId":"mi-1","status":"TimedOut"}"#,
            Happened::Ended { node: node() },
        );
        check(r#"{"instanceId":"mi-1","status":"InProgress"}"#, Happened::Other);
        check(r#"{"commandId":"c","status":"Success"}"#, Happened::Other);
    }
}
