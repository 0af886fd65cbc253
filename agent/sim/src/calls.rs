//! The requests of a simulated agent, repeated until they are answered.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::client::Request;
use async_nats::{Client, HeaderMap};
use muster_model::NodeId;
use muster_proto::agent::v1::{HelloRequest, HelloResult, NodeFacts, PullRequest, PullResult};
use muster_proto::fleet::v1::{RegisterNodeRequest, RegisterNodeResult};
use muster_wire::subject;
use prost::Message;

use crate::RunId;
use crate::fleet::Shared;

/// The agent's version, `x.y.z`.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long an answer may take; a thousand nodes ask at the same time.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no answer: {0}")]
    Unanswered(#[from] async_nats::client::RequestError),
    #[error("refused with code {0}")]
    Refused(String),
    #[error("the answer is not understood: {0}")]
    Malformed(#[from] prost::DecodeError),
}

pub(crate) async fn call<Answer: Message + Default>(
    client: &Client,
    subject: String,
    headers: HeaderMap,
    question: &impl Message,
) -> Result<Answer, CallError> {
    let mut request = Request::new()
        .payload(question.encode_to_vec().into())
        .timeout(Some(ANSWER));
    if !headers.is_empty() {
        request = request.headers(headers);
    }
    let answer = client.send_request(subject, request).await?;
    if let Some(code) = answer
        .headers
        .as_ref()
        .and_then(|headers| headers.get("Nats-Service-Error-Code"))
    {
        return Err(CallError::Refused(code.to_string()));
    }
    Ok(Answer::decode(answer.payload)?)
}

async fn call_until_answered<Answer: Message + Default>(
    client: &Client,
    subject: String,
    question: &impl Message,
) -> Answer {
    loop {
        match call(client, subject.clone(), HeaderMap::new(), question).await {
            Ok(answer) => return answer,
            Err(error) => tracing::debug!(%error, subject, "asking again"),
        }
        tokio::time::sleep(PAUSE.mul_f64(rand::random_range(0.5..1.5))).await;
    }
}

/// Registers a node; every node of every fleet is a machine of its own.
pub(crate) async fn register(client: &Client, shared: &Shared, number: usize) -> NodeId {
    let question = RegisterNodeRequest {
        machine_identity: format!("sim-{}-{number}", shared.settings.name),
        as_new: false,
        name: format!("{}-{number}", shared.settings.name),
        tags: shared
            .settings
            .tags
            .clone()
            .into_iter()
            .chain((shared.tags_of)(number))
            .collect(),
        facts: Some(facts(number)),
        public_key: String::new(),
    };
    loop {
        let subject = subject::api("Nodes", "RegisterNode");
        let answer: RegisterNodeResult = call_until_answered(client, subject, &question).await;
        match answer.node_id.parse() {
            Ok(id) => return id,
            Err(error) => tracing::error!(%error, number, "the service answered with a strange node id"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says hello; the node's tags.
pub(crate) async fn hello(client: &Client, id: &NodeId, number: usize) -> BTreeMap<String, String> {
    let question = HelloRequest {
        facts: Some(facts(number)),
        ..HelloRequest::default()
    };
    let subject = subject::rpc(id, subject::RPC_HELLO);
    let answer: HelloResult = call_until_answered(client, subject, &question).await;
    answer.tags.into_iter().collect()
}

/// Asks for work.
pub(crate) async fn pull(client: &Client, id: &NodeId, unfinished: Vec<RunId>) {
    let question = PullRequest {
        unfinished_run_ids: unfinished.iter().map(ToString::to_string).collect(),
        ..PullRequest::default()
    };
    let _: PullResult = call_until_answered(client, subject::rpc(id, subject::RPC_WORK_PULL), &question).await;
}

fn facts(number: usize) -> NodeFacts {
    NodeFacts {
        agent_version: VERSION.to_owned(),
        platform_type: "Linux".to_owned(),
        platform_name: "Muster Simulation".to_owned(),
        platform_version: "1".to_owned(),
        computer_name: format!("sim-{number}"),
        ip_address: format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255),
        architecture: std::env::consts::ARCH.to_owned(),
        boot_id: format!("sim-{number}"),
        availability_zone: String::new(),
        capabilities: vec!["interpolation-env-var".to_owned()],
    }
}
