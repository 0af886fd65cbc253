//! Log streams (run-command 8.4): what steps write reaches the service while they write it; run-command is played here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use futures::StreamExt;
use muster_harness::{until, until_within};
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{LogAppendRequest, LogAppendResult, OutputStored, OutputStream, RunStatus, WorkItem};
use prost::Message as _;
use serde_json::json;

use crate::{Scene, work};

#[derive(Default)]
struct Kept {
    streams: BTreeMap<(String, &'static str), Vec<u8>>,
    longest: usize,
    /// Says no, with these words.
    refuses: Option<&'static str>,
}

/// Whoever keeps log streams.
#[derive(Clone, Default)]
struct Keeper(Arc<Mutex<Kept>>);

impl Keeper {
    async fn start(scene: &Scene) -> Self {
        let keeper = Self::default();
        let client = scene.nats.client().await;
        let mut events = client.subscribe("muster.v1.rpc.*.log.append").await.unwrap();
        client.flush().await.unwrap();
        let (desk, node) = (keeper.clone(), scene.coordinator.node.to_string());
        tokio::spawn(async move {
            while let Some(message) = events.next().await {
                assert!(message.subject.contains(&node));
                let answer = desk.take(LogAppendRequest::decode(message.payload).unwrap());
                let inbox = message.reply.unwrap();
                match answer {
                    Ok(arrived) => {
                        let result = LogAppendResult { arrived }.encode_to_vec();
                        client.publish(inbox, result.into()).await.unwrap();
                    }
                    Err(words) => {
                        let mut headers = HeaderMap::new();
                        headers.insert("Nats-Service-Error", words);
                        headers.insert("Nats-Service-Error-Code", "400");
                        client.publish_with_headers(inbox, headers, "".into()).await.unwrap();
                    }
                }
            }
        });
        keeper
    }

    fn take(&self, event: LogAppendRequest) -> Result<u64, &'static str> {
        let mut kept = self.0.lock().unwrap();
        if let Some(words) = kept.refuses {
            return Err(words);
        }
        kept.longest = kept.longest.max(event.data.len());
        let stream = if event.stream() == OutputStream::Stderr {
            "stderr"
        } else {
            "stdout"
        };
        let held = kept.streams.entry((event.step, stream)).or_default();
        if held.len() as u64 == event.offset {
            held.extend(event.data);
        }
        Ok(held.len() as u64)
    }

    fn refuse(&self, words: Option<&'static str>) {
        self.0.lock().unwrap().refuses = words;
    }

    fn lose_half(&self, step: &str, stream: &'static str) {
        let mut kept = self.0.lock().unwrap();
        let held = kept.streams.get_mut(&(step.to_owned(), stream)).unwrap();
        held.truncate(held.len() / 2);
    }

    fn held(&self, step: &str, stream: &'static str) -> Option<Vec<u8>> {
        self.0.lock().unwrap().streams.get(&(step.to_owned(), stream)).cloned()
    }
}

fn logged(item: WorkItem) -> WorkItem {
    WorkItem {
        has_log_streams: true,
        ..item
    }
}

fn notes(scene: &Scene) -> usize {
    let notes = std::fs::read_dir(scene.agent.state().root().join("uploads"));
    notes.map_or(0, Iterator::count)
}

#[tokio::test]
async fn what_a_step_writes_is_in_its_log_stream_while_it_runs() {
    let scene = Scene::start().await;
    let keeper = Keeper::start(&scene).await;
    let gate = scene.agent.state().root().join("gate");
    let lines = [
        "i=0; while [ $i -lt 4000 ]; do printf 'line %05d of many, and it is so long that there is soon much of it here\\n' $i; i=$((i+1)); done",
        "echo careful >&2",
        &work::wait_for(&gate),
        "printf 'the end'",
    ];
    let steps = [
        work::step("one", json!({"runCommand": lines})),
        work::step("silent", json!({"runCommand": ["true"]})),
    ];
    let run = scene.coordinator.send(&logged(work::steps(&steps))).await;
    let early = until("much of it is in the stream", async || {
        match keeper.held("one", "stdout") {
            Some(held) if held.len() > 200_000 => Ok(held),
            other => Err(other.map(|held| held.len())),
        }
    })
    .await;
    assert!(scene.coordinator.ended(run).is_none(), "it still runs");
    // What was kept is lost: the next answer says so, and the node goes back.
    keeper.lose_half("one", "stdout");
    std::fs::write(&gate, "").unwrap();
    let ended = scene.coordinator.end(run).await;
    assert_eq!((ended.status(), ended.result.trace.as_str()), (RunStatus::Success, ""));
    let mut whole: String = (0..4000)
        .map(|number| format!("line {number:05} of many, and it is so long that there is soon much of it here\n"))
        .collect();
    assert!(whole.as_bytes().starts_with(&early));
    whole.push_str("the end");
    assert_eq!(keeper.held("one", "stdout"), Some(whole.into_bytes()));
    assert_eq!(keeper.held("one", "stderr").as_deref(), Some(&b"careful\n"[..]));
    assert_eq!(
        (keeper.held("silent", "stdout"), keeper.held("silent", "stderr")),
        (None, None)
    );
    assert!(keeper.0.lock().unwrap().longest <= 256 * 1024);
    assert_eq!(notes(&scene), 0);
}

#[tokio::test]
async fn a_keeper_that_takes_nothing_is_told_in_the_trace_and_gets_it_later() {
    let scene = Scene::start().await;
    let keeper = Keeper::start(&scene).await;
    keeper.refuse(Some("log streams cannot be written: no space"));
    let begun = Instant::now();
    let run = scene.coordinator.send(&logged(work::script(&["echo late"]))).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(
        (ended.status(), ended.step().stdout.as_str()),
        (RunStatus::Success, "late\n")
    );
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(
        ended.result.trace,
        "only: stdout is not in its log stream yet: log streams cannot be written: no space; \
         it is tried again for 24 hours"
    );

    keeper.refuse(None);
    let fate = until_within(Duration::from_secs(60), "the stream is told to be there", async || {
        let records = scene.coordinator.records(run);
        match records.last().and_then(|record| record.fact.clone()) {
            Some(News::OutputStored(fate)) => Ok(fate),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(
        fate,
        OutputStored {
            index: 0,
            name: "only".into(),
            stream: "stdout".into(),
            trouble: String::new(),
            is_log_stream: true,
        }
    );
    assert_eq!(keeper.held("only", "stdout").as_deref(), Some(&b"late\n"[..]));
    until("nothing is left to do", async || match notes(&scene) {
        0 => Ok(()),
        some => Err(some),
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sent_that_was_not_asked_for() {
    let scene = Scene::start().await;
    let keeper = Keeper::start(&scene).await;
    let run = scene.coordinator.send(&work::script(&["echo private"])).await;
    assert_eq!(scene.coordinator.end(run).await.status(), RunStatus::Success);
    // Whatever had been sent would have come before this.
    let run = scene.coordinator.send(&logged(work::script(&["echo public"]))).await;
    scene.coordinator.end(run).await;
    assert_eq!(keeper.held("only", "stdout").as_deref(), Some(&b"public\n"[..]));
}
