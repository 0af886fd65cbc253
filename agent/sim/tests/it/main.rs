//! A fleet against services played by the test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, Message};
use futures::StreamExt;
use muster_agent_sim::{Door, End, Fleet, FleetSettings, Outcome, RunId, Script};
use muster_harness::{NatsServer, until};
use muster_model::NodeId;
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{
    Ack, Cancel, HelloResult, PullResult, Record, ReplyRequest, ReplyResult, RunStatus, WorkItem,
};
use muster_proto::fleet::v1::{RegisterNodeRequest, RegisterNodeResult};
use muster_wire::subject;
use prost::Message as _;

#[derive(Default)]
struct Seen {
    machines: HashMap<String, NodeId>,
    acks: usize,
    pulls: HashMap<NodeId, usize>,
    /// Records by node, and how often a reply came.
    records: HashMap<NodeId, BTreeMap<u64, Record>>,
    replies: usize,
    is_deaf: bool,
}

struct Services {
    client: Client,
    seen: Arc<Mutex<Seen>>,
}

impl Services {
    async fn start(nats: &NatsServer) -> Self {
        let client = nats.client().await;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut inbox = futures::stream::SelectAll::new();
        for subject in [
            "muster.v1.api.Nodes.RegisterNode",
            "muster.v1.rpc.*.>",
            "muster.v1.up.*.ack",
        ] {
            inbox.push(client.subscribe(subject).await.unwrap());
        }
        client.flush().await.unwrap();
        let (desk, seen_there) = (client.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Some(message) = inbox.next().await {
                let answer = take(&seen_there, &message);
                if let (Some(answer), Some(reply)) = (answer, message.reply) {
                    desk.publish(reply, answer.into()).await.unwrap();
                }
            }
        });
        Self { client, seen }
    }

    fn look<T>(&self, at: impl FnOnce(&mut Seen) -> T) -> T {
        at(&mut self.seen.lock().unwrap())
    }

    async fn send(&self, nodes: &[NodeId], run: RunId) {
        for node in nodes {
            let work = WorkItem {
                run_id: run.to_string(),
                node_id: node.to_string(),
                time_to_live_ms: 60_000,
                document_content: r#"{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"only","inputs":{"runCommand":["true"]}}]}"#.into(),
                document_format: "JSON".into(),
                ..WorkItem::default()
            };
            self.client
                .publish(subject::work(node), work.encode_to_vec().into())
                .await
                .unwrap();
        }
    }

    fn statuses(&self) -> HashMap<RunStatus, usize> {
        let mut statuses = HashMap::new();
        self.look(|seen| {
            for records in seen.records.values() {
                if let Some(News::RunResult(result)) = records.values().last().and_then(|last| last.fact.clone()) {
                    *statuses.entry(result.status()).or_default() += 1;
                }
            }
        });
        statuses
    }

    async fn all_ended(&self, count: usize) -> HashMap<RunStatus, usize> {
        until("all runs have ended", async || {
            let statuses = self.statuses();
            if statuses.values().sum::<usize>() == count {
                Ok(statuses)
            } else {
                Err(statuses)
            }
        })
        .await
    }
}

fn settings(nats: &NatsServer, nodes: usize) -> FleetSettings {
    FleetSettings {
        nats_url: nats.url(),
        credentials: None,
        nodes,
        connections: 2,
        name: "test".to_owned(),
        tags: BTreeMap::new(),
        script: Script::always(Outcome::NOTHING),
    }
}

fn take(seen: &Mutex<Seen>, message: &Message) -> Option<Vec<u8>> {
    let mut seen = seen.lock().unwrap();
    let body = message.payload.as_ref();
    let node = subject::node_of(&message.subject);
    match message.subject.split('.').nth(4).unwrap() {
        "RegisterNode" => {
            let machine = RegisterNodeRequest::decode(body).unwrap().machine_identity;
            let node = seen.machines.entry(machine).or_insert_with(NodeId::random).clone();
            Some(
                RegisterNodeResult {
                    node_id: node.to_string(),
                    existing: false,
                }
                .encode_to_vec(),
            )
        }
        "hello" => {
            let tags = [("Role".to_owned(), "Web".to_owned())];
            Some(
                HelloResult {
                    tags: tags.into_iter().collect(),
                    ..HelloResult::default()
                }
                .encode_to_vec(),
            )
        }
        "work" => {
            *seen.pulls.entry(node.unwrap()).or_default() += 1;
            Some(PullResult::default().encode_to_vec())
        }
        "reply" if seen.is_deaf => None,
        "reply" => {
            seen.replies += 1;
            let reply = ReplyRequest::decode(body).unwrap();
            let known = seen.records.entry(node.unwrap()).or_default();
            for record in reply.records {
                let before = known.insert(record.sequence, record.clone());
                assert!(before.is_none_or(|before| before == record), "a record never changes");
            }
            let confirmed_sequence = (1..)
                .take_while(|sequence| known.contains_key(sequence))
                .last()
                .unwrap_or(0);
            Some(ReplyResult { confirmed_sequence }.encode_to_vec())
        }
        _ => {
            Ack::decode(body).unwrap();
            seen.acks += 1;
            None
        }
    }
}

#[tokio::test]
async fn every_node_executes_once_however_often_work_is_delivered() {
    let nats = NatsServer::start().await;
    let services = Services::start(&nats).await;
    let fleet = Fleet::start(settings(&nats, 300)).await.unwrap();
    let (ids, run) = (fleet.ids(), RunId::random());
    assert_eq!(ids.len(), 300);
    fleet.set_script(Script::new(|number, _| match number % 3 {
        0 => Outcome {
            delay: Duration::from_millis(5),
            ..Outcome::failure(1)
        },
        1 => Outcome {
            repeats: true,
            ..Outcome::NOTHING
        },
        _ => Outcome::success_after(Duration::from_millis(20)),
    }));
    services.send(&ids, run).await;
    services.send(&ids, run).await;
    let statuses = services.all_ended(300).await;
    assert_eq!(
        (statuses[&RunStatus::Failed], statuses[&RunStatus::Success]),
        (100, 200)
    );
    let tally = until("all is confirmed", async || {
        let tally = fleet.tally(run);
        if tally.confirmed >= 300 && tally.deliveries.values().all(|times| *times == 2) {
            Ok(tally)
        } else {
            Err(tally)
        }
    })
    .await;
    assert_eq!(
        (tally.executions.len(), tally.executed_twice().len(), tally.running),
        (300, 0, 0)
    );
    assert!(services.look(|seen| seen.replies) >= 400, "copies were sent");
    assert!(services.look(|seen| seen.acks) >= 600);
}

#[tokio::test]
async fn an_agent_that_is_away_has_no_responders_and_pulls_when_it_is_back() {
    let nats = NatsServer::start().await;
    let services = Services::start(&nats).await;
    let fleet = Fleet::start(settings(&nats, 4)).await.unwrap();
    let (ids, run) = (fleet.ids(), RunId::random());
    fleet.disconnect(1);
    let subject = subject::work(&ids[1]);
    until("nobody listens", async || {
        let request = async_nats::client::Request::new().timeout(Some(Duration::from_millis(50)));
        match services.client.send_request(subject.clone(), request).await {
            Err(error) if error.kind() == async_nats::client::RequestErrorKind::NoResponders => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let pulls = || services.look(|seen| seen.pulls.get(&ids[1]).copied().unwrap_or_default());
    let before = pulls();
    fleet.reconnect(1).await;
    until("it pulls", async || if pulls() > before { Ok(()) } else { Err(before) }).await;
    services.send(&ids, run).await;
    services.all_ended(4).await;
}

#[tokio::test]
async fn a_cancel_ends_what_would_never_end() {
    let nats = NatsServer::start().await;
    let services = Services::start(&nats).await;
    let script = Script::always(Outcome {
        end: End::Never,
        ..Outcome::NOTHING
    });
    let fleet = Fleet::start(FleetSettings {
        script,
        ..settings(&nats, 10)
    })
    .await
    .unwrap();
    let (ids, run) = (fleet.ids(), RunId::random());
    services.send(&ids, run).await;
    until("all run", async || {
        let running = fleet.tally(run).running;
        if running == 10 { Ok(()) } else { Err(running) }
    })
    .await;
    for id in &ids {
        let cancel = Cancel {
            run_id: run.to_string(),
        };
        services
            .client
            .publish(subject::cancel(id), cancel.encode_to_vec().into())
            .await
            .unwrap();
    }
    assert_eq!(services.all_ended(10).await[&RunStatus::Cancelled], 10);
}

#[tokio::test]
async fn results_are_sent_again_after_a_deaf_service_and_a_dead_broker() {
    let mut nats = NatsServer::start().await;
    let services = Services::start(&nats).await;
    let fleet = Fleet::start(settings(&nats, 50)).await.unwrap();
    let (ids, run) = (fleet.ids(), RunId::random());
    services.look(|seen| seen.is_deaf = true);
    services.send(&ids, run).await;
    until("all have executed", async || {
        let ended = fleet.tally(run).ended;
        if ended == 50 { Ok(()) } else { Err(ended) }
    })
    .await;
    nats.kill();
    services.look(|seen| seen.is_deaf = false);
    nats.restart().await;
    services.all_ended(50).await;
    assert!(fleet.tally(run).executed_twice().is_empty());
}

#[tokio::test]
async fn a_doorbell_makes_all_nodes_of_the_tag_pull() {
    let nats = NatsServer::start().await;
    let services = Services::start(&nats).await;
    let _fleet = Fleet::start(settings(&nats, 20)).await.unwrap();
    let pulls = || services.look(|seen| seen.pulls.values().sum::<usize>());
    until(
        "all have pulled",
        async || if pulls() >= 20 { Ok(()) } else { Err(pulls()) },
    )
    .await;
    services
        .client
        .publish(subject::tag("Role", "Web"), "".into())
        .await
        .unwrap();
    until("all have pulled again", async || {
        if pulls() >= 40 { Ok(()) } else { Err(pulls()) }
    })
    .await;
}

#[tokio::test]
async fn an_ignoring_agent_neither_acknowledges_nor_executes() {
    let nats = NatsServer::start().await;
    let services = Services::start(&nats).await;
    let script = Script::new(|number, _| Outcome {
        door: if number == 0 { Door::Ignore } else { Door::Accept },
        ..Outcome::NOTHING
    });
    let fleet = Fleet::start(FleetSettings {
        script,
        ..settings(&nats, 2)
    })
    .await
    .unwrap();
    let run = RunId::random();
    services.send(&fleet.ids(), run).await;
    services.all_ended(1).await;
    let tally = until("both got it", async || {
        let tally = fleet.tally(run);
        if tally.deliveries.len() == 2 {
            Ok(tally)
        } else {
            Err(tally)
        }
    })
    .await;
    assert_eq!(tally.order, [1]);
}
