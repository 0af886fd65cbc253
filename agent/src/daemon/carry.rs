//! Carries what runners ask to the services, over the agent's connection.

use std::time::Duration;

use async_nats::Client;
use muster_wire::subject;
use tokio::net::UnixStream;

use super::agent::{Agent, Event};
use crate::courier::{Answer, Question};

/// How long a runner may take to say what it wants, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Agent {
    /// A runner has something to ask.
    pub(super) fn carry(&self, mut stream: UnixStream) {
        let (client, node) = (self.client.clone(), self.node.clone());
        self.tasks.push(Box::pin(async move {
            let asked = tokio::time::timeout(PATIENCE, Question::read(&mut stream)).await;
            if let Ok(Ok(question)) = asked {
                let answer = ask(&client, subject::rpc(&node, &question.operation), question.payload).await;
                // Whoever asked may have been stopped meanwhile.
                let _ = tokio::time::timeout(PATIENCE, answer.write(&mut stream)).await;
            } else {
                tracing::warn!("a runner's question is not understood");
            }
            Event::Tick
        }));
    }
}

async fn ask(client: &Client, subject: String, payload: Vec<u8>) -> Answer {
    let answer = match client.request(subject, payload.into()).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%error, "nobody answers what a runner asks");
            return Answer::Unanswered;
        }
    };
    let header = |name| answer.headers.as_ref().and_then(|headers| headers.get(name));
    match header("Nats-Service-Error-Code") {
        None => Answer::Given(answer.payload.into()),
        // The service, not the question, has a problem; or this node asks too much at once, or time ran out.
        Some(code) if code.as_str().starts_with('5') || ["408", "429"].contains(&code.as_str()) => Answer::Unanswered,
        Some(_) => Answer::Refused(header("Nats-Service-Error").map_or_else(String::new, ToString::to_string)),
    }
}
