//! Carries what runners ask to the services, over the agent's connection.

use std::time::Duration;

use async_nats::Client;
use muster_credential::work::Answered;
use muster_model::NodeId;
use muster_wire::subject;
use tokio::net::UnixStream;

use super::agent::{Agent, Event};
use super::trust::Credulity;
use crate::courier::{Answer, Question};

/// How long a runner may take to say what it wants, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who vouches for its answers to a question: what they say is carried out.
fn answerer(operation: &str) -> Option<&'static str> {
    match operation {
        subject::RPC_DOCUMENT => Some("documents"),
        subject::RPC_PARAMETERS => Some("parameter-store"),
        _ => None,
    }
}

impl Agent {
    /// A runner has something to ask.
    pub(super) fn carry(&self, mut stream: UnixStream) {
        let courier = Courier {
            client: self.client.clone(),
            node: self.node.clone(),
            credulity: self.trust.credulity(self.settings.work_signatures),
        };
        self.tasks.push(Box::pin(async move {
            let asked = tokio::time::timeout(PATIENCE, Question::read(&mut stream)).await;
            let Ok(Ok(question)) = asked else {
                tracing::warn!("a runner's question is not understood");
                return Event::Tick;
            };
            let (answer, distrust) = match courier.ask(question).await {
                Ok(answer) => (answer, None),
                Err(why) => (Answer::Refused(why.clone()), Some(why)),
            };
            // Whoever asked may have been stopped meanwhile.
            let _ = tokio::time::timeout(PATIENCE, answer.write(&mut stream)).await;
            distrust.map_or(Event::Tick, Event::Distrusted)
        }));
    }
}

struct Courier {
    client: Client,
    node: NodeId,
    credulity: Credulity,
}

impl Courier {
    /// What is answered.
    ///
    /// # Errors
    /// Why it is not believed.
    async fn ask(&self, question: Question) -> Result<Answer, String> {
        let Question { operation, payload } = question;
        let subject = subject::rpc(&self.node, &operation);
        let answer = match self.client.request(subject, payload.clone().into()).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, "nobody answers what a runner asks");
                return Ok(Answer::Unanswered);
            }
        };
        let header = |name| answer.headers.as_ref().and_then(|headers| headers.get(name));
        match header("Nats-Service-Error-Code") {
            None => {}
            // The service, not the question, has a problem; or this node asks too much at once, or time ran out.
            Some(code) if code.as_str().starts_with('5') || ["408", "429"].contains(&code.as_str()) => {
                return Ok(Answer::Unanswered);
            }
            // Nobody vouches for a refusal: whoever has the bus could withhold the answer as well.
            Some(_) => {
                let why = header("Nats-Service-Error").map_or_else(String::new, ToString::to_string);
                return Ok(Answer::Refused(why));
            }
        }
        if let Some(service) = answerer(&operation) {
            let answered = Answered {
                node: self.node.as_str(),
                operation: &operation,
                question: &payload,
                answer: &answer.payload,
            };
            let checked = self.credulity.check(service, answer.headers.as_ref(), answered);
            checked
                .map_err(|distrust| format!("the answer of {service} to {operation} is not believed: {distrust}"))?;
        }
        Ok(Answer::Given(answer.payload.into()))
    }
}
