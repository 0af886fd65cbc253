//! The services as far as an agent meets them: fleet and fan-out, played by the test.

mod parameters;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use async_nats::{Client, HeaderMap, Message};
use futures::StreamExt;
use muster_agent::journal::RunId;
use muster_credential::work::{AnswerCertificate, AnswerKey, Answered, Signature};
use muster_credential::{Key, Purpose};
use muster_harness::{NatsServer, until};
use muster_model::{Clock, NodeId, SystemClock};
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{
    Ack, Cancel, DocumentRequest, DocumentResult, Heartbeat, HelloRequest, HelloResult, ParametersRequest, PullRequest,
    PullResult, Record, ReplyRequest, ReplyResult, RunResult, RunStatus, StepResult, StoredParameter, Verdict,
    WorkItem, WorkKeys,
};
use muster_proto::fleet::v1::{RegisterNodeRequest, RegisterNodeResult};
use muster_wire::subject;
use prost::Message as _;

use crate::signatures::signed;

#[derive(Default)]
struct Seen {
    registrations: Vec<RegisterNodeRequest>,
    hellos: Vec<HelloRequest>,
    pulls: Vec<PullRequest>,
    acks: Vec<Ack>,
    /// Requests per run, repetitions included.
    replies: Vec<(ReplyRequest, Option<String>)>,
    records: HashMap<String, BTreeMap<u64, Record>>,
    heartbeats: Vec<Heartbeat>,
    is_deaf: bool,
    /// Fleet does not know the node.
    is_strange: bool,
    documents: HashMap<String, DocumentResult>,
    parameters: Vec<StoredParameter>,
    /// Questions of runs for parameters.
    asked_for_parameters: Vec<ParametersRequest>,
    /// What it signs with, and which keys it tells nodes.
    seal: Option<(Key, Vec<WorkKeys>)>,
    /// What answers to runners are signed with.
    answer_key: Option<AnswerKey>,
}

pub(crate) struct Coordinator {
    pub(crate) client: Client,
    pub(crate) node: NodeId,
    seen: Arc<Mutex<Seen>>,
}

impl Coordinator {
    pub(crate) async fn start(nats: &NatsServer) -> Self {
        let client = nats.client().await;
        let node = NodeId::random();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut inbox = futures::stream::SelectAll::new();
        for subject in [
            "muster.v1.api.Nodes.RegisterNode",
            "muster.v1.rpc.*.>",
            "muster.v1.up.*.>",
        ] {
            inbox.push(client.subscribe(subject).await.unwrap());
        }
        client.flush().await.unwrap();
        let desk = Desk {
            client: client.clone(),
            node: node.clone(),
            seen: Arc::clone(&seen),
        };
        tokio::spawn(async move {
            while let Some(message) = inbox.next().await {
                desk.take(&message).await;
            }
        });
        Self { client, node, seen }
    }

    /// Signs its answers from now on, and tells nodes these keys.
    pub(crate) fn seal(&self, key: &Key, keys: Vec<WorkKeys>) {
        self.seen.lock().unwrap().seal = Some((key.clone(), keys));
    }

    /// Signs what it lends from now on, as the service does.
    pub(crate) fn sign_answers(&self, key: Option<AnswerKey>) {
        self.seen.lock().unwrap().answer_key = key;
    }

    fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.lock().unwrap())
    }

    /// Takes nothing and confirms nothing, as if the service were away.
    pub(crate) fn set_deaf(&self, is_deaf: bool) {
        self.seen.lock().unwrap().is_deaf = is_deaf;
    }

    /// Knows the node no longer, or again.
    pub(crate) fn set_strange(&self, is_strange: bool) {
        self.seen.lock().unwrap().is_strange = is_strange;
    }

    pub(crate) fn heartbeats(&self) -> Vec<Heartbeat> {
        self.look(|seen| seen.heartbeats.clone())
    }

    /// Asks the agent for a sign of life.
    pub(crate) async fn ping(&self) {
        let subject = subject::everything_for(&self.node).replace('>', "ping");
        self.client.publish(subject, "".into()).await.unwrap();
    }

    /// The end of a run, if it has come.
    pub(crate) fn ended(&self, run: RunId) -> Option<Ended> {
        let records = self.records(run);
        match records.last()?.fact.clone()? {
            News::RunResult(result) => Some(Ended { result, records }),
            _ => None,
        }
    }

    /// Has a document for nodes that ask.
    pub(crate) fn lend(&self, document: DocumentResult) {
        let name = document.name.clone();
        self.seen.lock().unwrap().documents.insert(name, document);
    }

    pub(crate) async fn send(&self, work: &WorkItem) -> RunId {
        self.send_with(work, HeaderMap::new()).await
    }

    pub(crate) async fn send_with(&self, work: &WorkItem, headers: HeaderMap) -> RunId {
        let work = WorkItem {
            node_id: self.node.to_string(),
            ..work.clone()
        };
        let payload = work.encode_to_vec().into();
        self.client
            .publish_with_headers(subject::work(&self.node), headers, payload)
            .await
            .unwrap();
        work.run_id.parse().unwrap()
    }

    pub(crate) async fn cancel(&self, run: RunId) {
        let cancel = Cancel {
            run_id: run.to_string(),
        };
        self.client
            .publish(subject::cancel(&self.node), cancel.encode_to_vec().into())
            .await
            .unwrap();
    }

    /// Waits until the agent has asked for work.
    pub(crate) async fn pulled(&self) {
        self.pulled_times(1).await;
    }

    pub(crate) async fn pulled_times(&self, times: usize) {
        until("the agent pulls", async || {
            let pulls = self.look(|seen| seen.pulls.len());
            if pulls >= times { Ok(()) } else { Err(pulls) }
        })
        .await;
    }

    pub(crate) fn pulls(&self) -> usize {
        self.look(|seen| seen.pulls.len())
    }

    /// Waits for the verdict on a run.
    pub(crate) async fn verdict(&self, run: RunId) -> Verdict {
        self.acks(run, 1).await[0].verdict()
    }

    /// Waits until a run was acknowledged so many times.
    pub(crate) async fn acks(&self, run: RunId, times: usize) -> Vec<Ack> {
        until("the run is acknowledged", async || {
            let acks = self.acks_so_far(run);
            if acks.len() >= times { Ok(acks) } else { Err(acks) }
        })
        .await
    }

    pub(crate) fn acks_so_far(&self, run: RunId) -> Vec<Ack> {
        let run = run.to_string();
        self.look(|seen| seen.acks.iter().filter(|ack| ack.run_id == run).cloned().collect())
    }

    /// Waits for the end of a run.
    pub(crate) async fn end(&self, run: RunId) -> Ended {
        until("the run ends", async || {
            let records = self.records(run);
            match records.last().and_then(|record| record.fact.clone()) {
                Some(News::RunResult(result)) => Ok(Ended { result, records }),
                _ => Err(records),
            }
        })
        .await
    }

    pub(crate) fn records(&self, run: RunId) -> Vec<Record> {
        let run = run.to_string();
        self.look(|seen| {
            seen.records
                .get(&run)
                .map(|records| records.values().cloned().collect())
                .unwrap_or_default()
        })
    }

    /// How often news of a run came, repetitions included, and with which trace context.
    pub(crate) fn replies(&self, run: RunId) -> Vec<(ReplyRequest, Option<String>)> {
        let run = run.to_string();
        self.look(|seen| {
            seen.replies
                .iter()
                .filter(|(reply, _)| reply.run_id == run)
                .cloned()
                .collect()
        })
    }

    pub(crate) fn registrations(&self) -> Vec<RegisterNodeRequest> {
        self.look(|seen| seen.registrations.clone())
    }

    pub(crate) fn hellos(&self) -> Vec<HelloRequest> {
        self.look(|seen| seen.hellos.clone())
    }
}

/// A run that is over, as the coordinator knows it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) result: RunResult,
    pub(crate) records: Vec<Record>,
}

impl Ended {
    pub(crate) fn status(&self) -> RunStatus {
        self.result.status()
    }

    pub(crate) fn steps(&self) -> Vec<&StepResult> {
        let result = |record: &'_ Record| matches!(&record.fact, Some(News::StepResult(_)));
        self.records
            .iter()
            .filter(|record| result(record))
            .filter_map(|record| match &record.fact {
                Some(News::StepResult(result)) => Some(result),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn step(&self) -> &StepResult {
        let steps = self.steps();
        assert_eq!(steps.len(), 1, "one step: {self:#?}");
        steps[0]
    }

    /// Sequences start at 1 and have no gaps.
    pub(crate) fn is_complete(&self) -> bool {
        self.records
            .iter()
            .map(|record| record.sequence)
            .eq(1..=self.records.len() as u64)
    }
}

struct Desk {
    client: Client,
    node: NodeId,
    seen: Arc<Mutex<Seen>>,
}

impl Desk {
    async fn take(&self, message: &Message) {
        let words: Vec<&str> = message.subject.split('.').collect();
        let body = message.payload.as_ref();
        if words[4..] == ["doc", "get"] {
            return self.lend(&DocumentRequest::decode(body).unwrap(), message).await;
        }
        if words[4..] == ["param", "get"] {
            return self
                .lend_parameters(ParametersRequest::decode(body).unwrap(), message)
                .await;
        }
        let answer = match words[4..] {
            ["RegisterNode"] => self.register(RegisterNodeRequest::decode(body).unwrap()),
            ["hello"] if self.seen.lock().unwrap().is_strange => {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Service-Error", "InvalidInstanceId");
                headers.insert("Nats-Service-Error-Code", "400");
                self.seen
                    .lock()
                    .unwrap()
                    .hellos
                    .push(HelloRequest::decode(body).unwrap());
                let inbox = message.reply.clone().unwrap();
                self.client
                    .publish_with_headers(inbox, headers, "".into())
                    .await
                    .unwrap();
                None
            }
            ["hello"] => self.hello(HelloRequest::decode(body).unwrap()),
            ["work", "pull"] => {
                let request = PullRequest::decode(body).unwrap();
                let nonce = request.nonce.clone();
                let answer = self.pull(request);
                let seal = self.seen.lock().unwrap().seal.clone();
                if let Some((key, _)) = seal {
                    let headers = signed(&key, Purpose::PullAnswer, &self.node, &answer, &nonce);
                    let inbox = message.reply.clone().unwrap();
                    let sent = self.client.publish_with_headers(inbox, headers, answer.into());
                    sent.await.unwrap();
                    return;
                }
                Some(answer)
            }
            ["reply"] => self.reply(ReplyRequest::decode(body).unwrap(), message),
            ["ack"] => {
                self.seen.lock().unwrap().acks.push(Ack::decode(body).unwrap());
                None
            }
            ["hb"] => {
                let heartbeat = Heartbeat::decode(body).unwrap();
                self.seen.lock().unwrap().heartbeats.push(heartbeat);
                None
            }
            _ => None,
        };
        if let (Some(answer), Some(inbox)) = (answer, message.reply.clone()) {
            self.client.publish(inbox, answer.into()).await.unwrap();
        }
    }

    async fn lend(&self, request: &DocumentRequest, message: &Message) {
        // As the service does it: an ARN stands for its last part.
        let name = request.name.rsplit('/').next().unwrap_or_default();
        let found = self.seen.lock().unwrap().documents.get(name).cloned();
        // Their versions have no names.
        let found = found.filter(|_| request.version_name.is_empty());
        let inbox = message.reply.clone().unwrap();
        match found {
            Some(document) => {
                let answer = document.encode_to_vec();
                let headers = self.vouch(subject::RPC_DOCUMENT, message, &answer);
                self.client.publish_with_headers(inbox, headers, answer.into()).await
            }
            None => {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Service-Error", format!("there is no document {}", request.name));
                headers.insert("Nats-Service-Error-Code", "400");
                self.client
                    .publish_with_headers(inbox, headers, Vec::new().into())
                    .await
            }
        }
        .unwrap();
    }

    /// The headers of an answer, if answers are signed.
    fn vouch(&self, operation: &str, message: &Message, answer: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(key) = self.seen.lock().unwrap().answer_key.clone() {
            let answered = Answered {
                node: self.node.as_str(),
                operation,
                question: &message.payload,
                answer,
            };
            headers.insert(Signature::HEADER, key.sign(answered).to_string());
            headers.insert(AnswerCertificate::HEADER, key.certificate().to_string());
        }
        headers
    }

    fn register(&self, request: RegisterNodeRequest) -> Option<Vec<u8>> {
        self.seen.lock().unwrap().registrations.push(request);
        Some(
            RegisterNodeResult {
                node_id: self.node.to_string(),
                existing: false,
            }
            .encode_to_vec(),
        )
    }

    fn hello(&self, request: HelloRequest) -> Option<Vec<u8>> {
        self.seen.lock().unwrap().hellos.push(request);
        let tags = HashMap::from([("Role".to_owned(), "Web".to_owned())]);
        Some(
            HelloResult {
                tags: tags.into_iter().collect(),
                service_time: now(),
                ..HelloResult::default()
            }
            .encode_to_vec(),
        )
    }

    fn pull(&self, request: PullRequest) -> Vec<u8> {
        let mut seen = self.seen.lock().unwrap();
        let known = request.work_keys_serial;
        seen.pulls.push(request);
        let told = seen.seal.iter().flat_map(|(_, keys)| keys);
        let answer = PullResult {
            expected: 0,
            service_time: now(),
            work_keys: told.filter(|keys| keys.serial > known).cloned().collect(),
        };
        answer.encode_to_vec()
    }

    fn reply(&self, request: ReplyRequest, message: &Message) -> Option<Vec<u8>> {
        let mut seen = self.seen.lock().unwrap();
        if seen.is_deaf {
            return None;
        }
        let traceparent = message.headers.as_ref().and_then(|headers| headers.get("traceparent"));
        seen.replies
            .push((request.clone(), traceparent.map(ToString::to_string)));
        let known = seen.records.entry(request.run_id).or_default();
        for record in request.records {
            let before = known.insert(record.sequence, record.clone());
            assert!(
                before.is_none_or(|before| before == record || is_short(&record)),
                "a record never changes"
            );
        }
        let confirmed_sequence = (1..)
            .take_while(|sequence| known.contains_key(sequence))
            .last()
            .unwrap_or(0);
        Some(ReplyResult { confirmed_sequence }.encode_to_vec())
    }
}

/// What a node says of a run of which it keeps only the result.
fn is_short(record: &Record) -> bool {
    matches!(&record.fact, Some(News::RunResult(result)) if result.trace.contains("keeps only this result"))
}

fn now() -> Option<prost_types::Timestamp> {
    let now = SystemClock.now();
    Some(prost_types::Timestamp {
        seconds: now.as_second(),
        nanos: now.subsec_nanosecond(),
    })
}
