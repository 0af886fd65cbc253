//! A node that speaks the agent's protocol and counts what it does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, Message};
use futures::StreamExt;
use muster_model::NodeId;
use muster_proto::agent::v1::record::Fact;
use muster_proto::agent::v1::{
    Ack, Cancel, PullRequest, Record, ReplyRequest, ReplyResult, RunResult, RunStatus, Verdict, WorkItem,
};
use muster_wire::{NatsStatus, subject};
use prost::Message as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a node waits until it says the same again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a node does with work.
#[derive(Clone)]
pub(crate) struct Script {
    /// How a run ends, by the node's number; `None`: not by itself.
    end: Arc<dyn Fn(u32) -> Option<RunStatus> + Send + Sync>,
    pub(crate) takes: Duration,
    /// What it says at the door; anything but `Accepted` is said once.
    pub(crate) verdict: Verdict,
    running: Arc<AtomicI64>,
    most_running: Arc<AtomicI64>,
}

impl Script {
    pub(crate) fn new(end: impl Fn(u32) -> Option<RunStatus> + Send + Sync + 'static) -> Self {
        Self {
            end: Arc::new(end),
            takes: Duration::ZERO,
            verdict: Verdict::Accepted,
            running: Arc::default(),
            most_running: Arc::default(),
        }
    }

    pub(crate) fn success() -> Self {
        Self::new(|_| Some(RunStatus::Success))
    }

    /// The most runs that were under way at once on all nodes of this script.
    pub(crate) fn most_running(&self) -> i64 {
        self.most_running.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Default)]
struct Run {
    times: u32,
    attempts: u32,
    cancelled: bool,
    result: Option<RunStatus>,
    confirmed: bool,
}

pub(crate) struct Node {
    number: u32,
    id: NodeId,
    script: Script,
    journal: Mutex<HashMap<String, Run>>,
    door_was_shut: Mutex<bool>,
    life: Mutex<Option<JoinHandle<()>>>,
    changed: watch::Sender<u64>,
}

impl Node {
    pub(crate) fn new(number: u32, script: Script) -> Arc<Self> {
        Arc::new(Self {
            number,
            id: NodeId::random(),
            script,
            journal: Mutex::default(),
            door_was_shut: Mutex::default(),
            life: Mutex::default(),
            changed: watch::Sender::default(),
        })
    }

    pub(crate) fn id(&self) -> &NodeId {
        &self.id
    }

    /// How often a run was begun.
    pub(crate) fn times(&self, run: &str) -> u32 {
        self.journal.lock().unwrap().get(run).map_or(0, |run| run.times)
    }

    /// How often the work came.
    pub(crate) fn attempts(&self, run: &str) -> u32 {
        self.journal.lock().unwrap().get(run).map_or(0, |run| run.attempts)
    }

    pub(crate) fn was_cancelled(&self, run: &str) -> bool {
        self.journal.lock().unwrap().get(run).is_some_and(|run| run.cancelled)
    }

    /// Comes to the bus: listens, then asks for work and reports what is not confirmed.
    pub(crate) async fn connect(self: &Arc<Self>, nats: &Client) {
        let mut mine = nats.subscribe(subject::everything_for(&self.id)).await.unwrap();
        self.pull(nats).await;
        let (node, nats) = (Arc::clone(self), nats.clone());
        let life = tokio::spawn(async move {
            let open: Vec<String> = node.journal.lock().unwrap().keys().cloned().collect();
            for run in open {
                tokio::spawn(Arc::clone(&node).report(nats.clone(), run));
            }
            while let Some(message) = mine.next().await {
                node.hear(&nats, &message).await;
            }
        });
        if let Some(former) = self.life.lock().unwrap().replace(life) {
            former.abort();
        }
    }

    /// Leaves the bus, and waits until the broker knows.
    pub(crate) async fn disconnect(&self, nats: &Client) {
        let life = self.life.lock().unwrap().take();
        if let Some(life) = life {
            life.abort();
            let _ = life.await;
        }
        nats.flush().await.unwrap();
    }

    /// "What is there for me?"
    pub(crate) async fn pull(&self, nats: &Client) {
        let unfinished = {
            let journal = self.journal.lock().unwrap();
            let open = journal.iter().filter(|(_, run)| !run.confirmed);
            open.map(|(id, _)| id.clone()).collect()
        };
        let request = PullRequest {
            unfinished_run_ids: unfinished,
            ..PullRequest::default()
        };
        // Nobody may be there to answer; the work comes by itself then.
        let _ = nats
            .request(
                subject::rpc(&self.id, subject::RPC_WORK_PULL),
                request.encode_to_vec().into(),
            )
            .await;
    }

    /// Ends a run that does not end by itself.
    pub(crate) async fn finish(self: &Arc<Self>, nats: &Client, run: &str, status: RunStatus) {
        self.end(run, status);
        Arc::clone(self).report(nats.clone(), run.to_owned()).await;
    }

    async fn hear(self: &Arc<Self>, nats: &Client, message: &Message) {
        if message.subject.ends_with(".work") {
            self.take(nats, WorkItem::decode(message.payload.clone()).unwrap())
                .await;
        } else if message.subject.ends_with(".cancel") {
            let run = Cancel::decode(message.payload.clone()).unwrap().run_id;
            let is_open = {
                let mut journal = self.journal.lock().unwrap();
                let entry = journal.entry(run.clone()).or_default();
                entry.cancelled = true;
                entry.result.is_none()
            };
            if is_open {
                self.end(&run, RunStatus::Cancelled);
                tokio::spawn(Arc::clone(self).report(nats.clone(), run));
            }
        }
    }

    async fn take(self: &Arc<Self>, nats: &Client, item: WorkItem) {
        assert_eq!(item.node_id, self.id.as_str(), "work for another node");
        assert!(item.time_to_live_ms > 0, "work that has expired");
        let run = item.run_id;
        let shut = self.script.verdict != Verdict::Accepted
            && !std::mem::replace(&mut *self.door_was_shut.lock().unwrap(), true);
        let verdict = if shut { self.script.verdict } else { Verdict::Accepted };
        let fresh = {
            let mut journal = self.journal.lock().unwrap();
            let entry = journal.entry(run.clone()).or_default();
            entry.attempts += 1;
            let fresh = !shut && entry.times == 0 && entry.result.is_none();
            entry.times += u32::from(fresh);
            fresh
        };
        let ack = Ack {
            run_id: run.clone(),
            verdict: verdict.into(),
            reason: "the test wants it".to_owned(),
            retry_after_ms: 1,
        };
        let sent = nats.publish(subject::up(&self.id, subject::UP_ACK), ack.encode_to_vec().into());
        sent.await.unwrap();
        let (node, nats) = (Arc::clone(self), nats.clone());
        if fresh {
            tokio::spawn(async move { node.run(nats, run).await });
        } else if !shut {
            tokio::spawn(node.report(nats, run));
        }
    }

    async fn run(self: Arc<Self>, nats: Client, run: String) {
        let running = self.script.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.script.most_running.fetch_max(running, Ordering::SeqCst);
        tokio::time::sleep(self.script.takes).await;
        self.script.running.fetch_sub(1, Ordering::SeqCst);
        if let Some(status) = (self.script.end)(self.number) {
            self.end(&run, status);
            self.report(nats, run).await;
        }
    }

    fn end(&self, run: &str, status: RunStatus) {
        let mut journal = self.journal.lock().unwrap();
        journal.entry(run.to_owned()).or_default().result.get_or_insert(status);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Sends the result until it is confirmed.
    async fn report(self: Arc<Self>, nats: Client, run: String) {
        loop {
            let result = match self.journal.lock().unwrap().get(&run) {
                Some(Run {
                    result: Some(result),
                    confirmed: false,
                    ..
                }) => *result,
                _ => return,
            };
            let record = Record {
                sequence: 1,
                at: None,
                fact: Some(Fact::RunResult(RunResult {
                    status: result.into(),
                    trace: format!("node {}", self.number),
                })),
            };
            let request = ReplyRequest {
                run_id: run.clone(),
                records: vec![record],
            };
            let subject = subject::rpc(&self.id, subject::RPC_REPLY);
            let question = async_nats::client::Request::new()
                .payload(request.encode_to_vec().into())
                .timeout(Some(PATIENCE));
            let answer = nats.send_request(subject, question).await;
            if let Ok(answer) = answer
                && answer.headers.as_ref().and_then(NatsStatus::of).is_none()
                && ReplyResult::decode(answer.payload).unwrap().confirmed_sequence >= 1
            {
                self.journal.lock().unwrap().get_mut(&run).unwrap().confirmed = true;
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn is_confirmed(&self, run: &str) -> bool {
        self.journal.lock().unwrap().get(run).is_some_and(|run| run.confirmed)
    }
}
