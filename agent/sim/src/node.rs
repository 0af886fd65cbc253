//! One simulated node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::client::Request;
use async_nats::{Client, Message, Subscriber};
use futures::StreamExt;
use futures::stream::select_all;
use muster_model::{Clock, NodeId, SystemClock};
use muster_proto::agent::v1::record::Fact;
use muster_proto::agent::v1::{
    Ack, Cancel, Heartbeat, HelloRequest, HelloResult, PullRequest, Record, ReplyRequest, ReplyResult, RunResult,
    RunStatus, StepResult, StepStatus, Verdict, WorkItem,
};
use muster_wire::{NatsStatus, subject};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fleet::facts;
use crate::script::{Outcome, Script};

const HEARTBEAT: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(200);
const ANSWER: Duration = Duration::from_secs(10);

/// A run that a node began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The run's id.
    pub run_id: String,
    /// The node's.
    pub node_id: NodeId,
    /// How often it was begun: more than once is a broken promise.
    pub times: u32,
}

/// What the journal holds of a run.
#[derive(Debug)]
struct Run {
    times: u32,
    cancel: CancellationToken,
    /// The report, once there is one.
    records: Vec<Record>,
    confirmed: bool,
}

#[derive(Debug)]
pub(crate) struct Node {
    number: usize,
    id: NodeId,
    nats: Client,
    script: Script,
    stop: CancellationToken,
    tasks: TaskTracker,
    journal: Mutex<HashMap<String, Run>>,
    /// Cancelled when the node leaves the bus.
    connection: Mutex<CancellationToken>,
}

impl Node {
    pub(crate) fn new(
        number: usize,
        id: NodeId,
        nats: Client,
        script: Script,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            number,
            id,
            nats,
            script,
            connection: Mutex::new(stop.child_token()),
            stop,
            tasks,
            journal: Mutex::default(),
        })
    }

    pub(crate) fn id(&self) -> &NodeId {
        &self.id
    }

    pub(crate) fn executions(&self) -> Vec<Execution> {
        let journal = self.journal();
        let begun = journal.iter().filter(|(_, run)| run.times > 0);
        begun
            .map(|(run_id, run)| Execution {
                run_id: run_id.clone(),
                node_id: self.id.clone(),
                times: run.times,
            })
            .collect()
    }

    fn journal(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> MutexGuard<'_, CancellationToken> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn disconnect(&self) {
        self.connection().cancel();
    }

    pub(crate) async fn connect(self: &Arc<Self>) -> anyhow::Result<()> {
        let connection = self.stop.child_token();
        std::mem::replace(&mut *self.connection(), connection.clone()).cancel();
        let mine = self.nats.subscribe(subject::everything_for(&self.id)).await?;
        let node = Arc::clone(self);
        self.tasks.spawn(async move { node.live(mine, connection).await });
        Ok(())
    }

    /// One stay on the bus.
    async fn live(self: Arc<Self>, mine: Subscriber, connection: CancellationToken) {
        let presence = Arc::clone(&self);
        let token = connection.clone();
        self.tasks.spawn(async move { presence.be_present(token).await });
        for run_id in self.unconfirmed() {
            let node = Arc::clone(&self);
            self.tasks.spawn(async move { node.report(&run_id).await });
        }
        let mut mine = mine;
        loop {
            let message = tokio::select! {
                () = connection.cancelled() => return,
                message = mine.next() => message,
            };
            match message {
                Some(message) => self.hear(&message).await,
                None => return,
            }
        }
    }

    /// Hello, the doorbells of its tags, asking for work, and a heartbeat a minute.
    async fn be_present(self: Arc<Self>, connection: CancellationToken) {
        let hello = HelloRequest {
            facts: Some(facts(self.number)),
        };
        let asked = self.request(subject::RPC_HELLO, &hello);
        let tags = tokio::select! {
            () = connection.cancelled() => return,
            answer = asked => HelloResult::decode(answer.as_slice()).unwrap_or_default().tags,
        };
        let mut doorbells = Vec::new();
        for (key, value) in &tags {
            if let Ok(doorbell) = self.nats.subscribe(subject::tag(key, value)).await {
                doorbells.push(doorbell);
            }
        }
        let mut doorbells = select_all(doorbells);
        // Spread over the minute by number, as jitter does for real agents.
        let first = HEARTBEAT.mul_f64((self.number % 1000) as f64 / 1000.0);
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + first, HEARTBEAT);
        loop {
            let pull = PullRequest {
                unfinished_run_ids: self.unconfirmed(),
            };
            tokio::select! {
                () = connection.cancelled() => return,
                _ = self.request(subject::RPC_WORK_PULL, &pull) => {}
            }
            tokio::select! {
                () = connection.cancelled() => return,
                Some(_) = doorbells.next() => {}
                _ = beat.tick() => {
                    let heartbeat = Heartbeat {
                        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
                        ..Heartbeat::default()
                    };
                    self.publish(subject::UP_HEARTBEAT, &heartbeat).await;
                }
            }
        }
    }

    async fn hear(self: &Arc<Self>, message: &Message) {
        let what = message.subject.rsplit('.').next().unwrap_or_default();
        match what {
            "work" => {
                if let Ok(item) = WorkItem::decode(message.payload.clone()) {
                    self.take(item).await;
                }
            }
            "cancel" => {
                if let Ok(cancel) = Cancel::decode(message.payload.clone()) {
                    self.cancel(&cancel.run_id);
                }
            }
            _ => {}
        }
    }

    async fn take(self: &Arc<Self>, item: WorkItem) {
        let outcome = self.script.decide(self.number, &item);
        let acceptable = item.node_id == self.id.as_str() && item.time_to_live_ms > 0;
        let fresh = acceptable && self.write_down(&item.run_id);
        if outcome.acknowledges || !acceptable {
            let verdict = match acceptable {
                true => Verdict::Accepted,
                false => Verdict::Refused,
            };
            let ack = Ack {
                run_id: item.run_id.clone(),
                verdict: verdict.into(),
                reason: String::new(),
                retry_after_ms: 0,
            };
            self.publish(subject::UP_ACK, &ack).await;
        }
        let node = Arc::clone(self);
        if fresh {
            self.tasks
                .spawn(async move { node.execute(&item.run_id, outcome).await });
        } else if acceptable && self.unconfirmed().contains(&item.run_id) {
            self.tasks.spawn(async move { node.report(&item.run_id).await });
        }
    }

    /// Whether the run is new here.
    fn write_down(&self, run_id: &str) -> bool {
        let mut journal = self.journal();
        if journal.contains_key(run_id) {
            return false;
        }
        let run = Run {
            times: 0,
            cancel: CancellationToken::new(),
            records: Vec::new(),
            confirmed: false,
        };
        journal.insert(run_id.to_owned(), run);
        true
    }

    async fn execute(self: Arc<Self>, run_id: &str, outcome: Outcome) {
        let cancel = {
            let mut journal = self.journal();
            let Some(run) = journal.get_mut(run_id) else { return };
            run.times += 1;
            run.cancel.clone()
        };
        let started = now();
        let cancelled = if outcome.delay.is_zero() {
            cancel.is_cancelled()
        } else {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = cancel.cancelled() => true,
                () = tokio::time::sleep(outcome.delay) => false,
            }
        };
        let (step, run) = match (cancelled, outcome.code) {
            (true, _) => (StepStatus::Cancelled, RunStatus::Cancelled),
            (false, 0) => (StepStatus::Success, RunStatus::Success),
            (false, _) => (StepStatus::Failed, RunStatus::Failed),
        };
        let step = StepResult {
            name: "simulated".to_owned(),
            action: "aws:runShellScript".to_owned(),
            status: step.into(),
            code: if cancelled { 137 } else { outcome.code },
            started_at: Some(started),
            finished_at: Some(now()),
            stdout_bytes: outcome.stdout.len() as u64,
            output: outcome.stdout.clone(),
            stdout: outcome.stdout,
            ..StepResult::default()
        };
        self.finish(run_id, vec![Fact::StepResult(step), ended(run)]);
        if outcome.reports {
            if outcome.repeats {
                Arc::clone(&self).report(run_id).await;
                if let Some(run) = self.journal().get_mut(run_id) {
                    run.confirmed = false;
                }
            }
            self.report(run_id).await;
        }
    }

    fn finish(&self, run_id: &str, facts: Vec<Fact>) {
        if let Some(run) = self.journal().get_mut(run_id) {
            run.records = facts
                .into_iter()
                .zip(1..)
                .map(|(fact, sequence)| Record {
                    sequence,
                    at: Some(now()),
                    fact: Some(fact),
                })
                .collect();
        }
    }

    fn cancel(self: &Arc<Self>, run_id: &str) {
        if self.write_down(run_id) {
            // A cancel that came before its work: remembered, and reported so that nobody waits.
            self.finish(run_id, vec![ended(RunStatus::Cancelled)]);
            let (node, run_id) = (Arc::clone(self), run_id.to_owned());
            self.tasks.spawn(async move { node.report(&run_id).await });
        } else if let Some(run) = self.journal().get(run_id) {
            run.cancel.cancel();
        }
    }

    fn unconfirmed(&self) -> Vec<String> {
        let journal = self.journal();
        let open = journal.iter().filter(|(_, run)| !run.confirmed);
        open.map(|(run_id, _)| run_id.clone()).collect()
    }

    /// Sends the report until it is confirmed.
    async fn report(self: Arc<Self>, run_id: &str) {
        let records = match self.journal().get(run_id) {
            Some(run) if !run.confirmed => run.records.clone(),
            _ => return,
        };
        let Some(last) = records.last().map(|record| record.sequence) else {
            return;
        };
        let reply = ReplyRequest {
            run_id: run_id.to_owned(),
            records,
        };
        let connection = self.connection().clone();
        let answer = tokio::select! {
            () = connection.cancelled() => return,
            answer = self.request(subject::RPC_REPLY, &reply) => answer,
        };
        let confirmed = ReplyResult::decode(answer.as_slice())
            .unwrap_or_default()
            .confirmed_sequence;
        if confirmed >= last
            && let Some(run) = self.journal().get_mut(run_id)
        {
            run.confirmed = true;
        }
    }

    /// Asks until there is an answer.
    async fn request(&self, operation: &str, message: &impl prost::Message) -> Vec<u8> {
        let subject = subject::rpc(&self.id, operation);
        let payload = message.encode_to_vec();
        loop {
            let request = Request::new().payload(payload.clone().into()).timeout(Some(ANSWER));
            match self.nats.send_request(subject.clone(), request).await {
                Ok(answer) if answer.headers.as_ref().and_then(NatsStatus::of).is_none() => {
                    return answer.payload.into();
                }
                Ok(_) | Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    async fn publish(&self, what: &str, message: &impl prost::Message) {
        let sent = self
            .nats
            .publish(subject::up(&self.id, what), message.encode_to_vec().into());
        if let Err(error) = sent.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a message was not published");
        }
    }
}

fn ended(status: RunStatus) -> Fact {
    Fact::RunResult(RunResult {
        status: status.into(),
        trace: String::new(),
    })
}

fn now() -> prost_types::Timestamp {
    let now = SystemClock.now();
    prost_types::Timestamp {
        seconds: now.as_second(),
        nanos: now.subsec_nanosecond(),
    }
}
