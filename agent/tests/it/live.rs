//! Live output (agent.md B4, last line): what a listener gets, and what nobody has to pay who does not listen.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt;
use muster_agent::journal::RunId;
use muster_proto::agent::v1::{Listen, OutputOffer, OutputPosition, OutputStream};
use muster_wire::subject;
use prost::Message as _;
use serde_json::json;

use crate::{Scene, work};

/// Somebody who listens to one run.
struct Listener<'a> {
    scene: &'a Scene,
    run: RunId,
    name: &'static str,
    offers: Subscriber,
    /// What has arrived of each stream.
    have: BTreeMap<(String, OutputStream), Vec<u8>>,
    window: u64,
    is_over: bool,
}

impl<'a> Listener<'a> {
    async fn new(scene: &'a Scene, run: RunId, name: &'static str, window: u64) -> Self {
        let client = &scene.coordinator.client;
        let subject = subject::up_output(&scene.coordinator.node, name);
        let offers = client.subscribe(subject).await.unwrap();
        client.flush().await.unwrap();
        let listener = Self {
            scene,
            run,
            name,
            offers,
            have: BTreeMap::new(),
            window,
            is_over: false,
        };
        listener.ask(false).await;
        listener
    }

    async fn ask(&self, rewind: bool) {
        let arrived = self.have.iter().map(|((part, stream), bytes)| OutputPosition {
            part: part.clone(),
            stream: (*stream).into(),
            offset: bytes.len() as u64,
        });
        let listen = Listen {
            run_id: self.run.to_string(),
            listener: self.name.to_owned(),
            arrived: arrived.collect(),
            window_bytes: self.window,
            lease_ms: 60_000,
            rewind,
        };
        let client = &self.scene.coordinator.client;
        let subject = subject::output(&self.scene.coordinator.node);
        client.publish(subject, listen.encode_to_vec().into()).await.unwrap();
    }

    /// Takes the next offer and confirms it.
    async fn hear(&mut self) {
        let message = tokio::time::timeout(Duration::from_secs(20), self.offers.next()).await;
        let message = message.expect("an offer comes").unwrap();
        let offer = OutputOffer::decode(message.payload).unwrap();
        for piece in offer.pieces {
            let at = piece.at.unwrap();
            let bytes = self.have.entry((at.part.clone(), at.stream())).or_default();
            assert_eq!(
                at.offset,
                bytes.len() as u64,
                "nothing is left out and nothing comes twice"
            );
            bytes.extend(piece.data);
        }
        self.is_over |= offer.is_end || offer.is_gone;
        if !self.is_over {
            self.ask(false).await;
        }
    }

    fn text(&self, part: &str, stream: OutputStream) -> String {
        let bytes = self.have.get(&(format!("awsrunShellScript.{part}"), stream));
        String::from_utf8(bytes.cloned().unwrap_or_default()).unwrap()
    }

    async fn hear_to_the_end(&mut self) {
        while !self.is_over {
            self.hear().await;
        }
    }
}

#[tokio::test]
async fn output_arrives_while_the_script_runs_also_for_who_listened_before_it_began() {
    let scene = Scene::start().await;
    let gate = scene.agent.scratch("gate");
    let item = work::script(&["echo first", &work::wait_for(&gate), "echo last; echo bad >&2"]);
    let run = item.run_id.parse().unwrap();
    let mut early = Listener::new(&scene, run, "early", 1 << 20).await;
    scene.coordinator.send(&item).await;
    while early.text("only", OutputStream::Stdout) != "first\n" {
        early.hear().await;
    }
    let mut late = Listener::new(&scene, run, "late", 1 << 20).await;
    late.hear().await;
    assert_eq!(late.text("only", OutputStream::Stdout), "first\n");
    std::fs::write(&gate, "").unwrap();
    for listener in [&mut early, &mut late] {
        listener.hear_to_the_end().await;
        assert_eq!(listener.text("only", OutputStream::Stdout), "first\nlast\n");
        assert_eq!(listener.text("only", OutputStream::Stderr), "bad\n");
    }
}

#[tokio::test]
async fn a_listener_after_the_end_gets_every_step_also_from_an_agent_started_anew() {
    let mut scene = Scene::start().await;
    let item = work::steps(&[
        work::step("one", json!({"runCommand": ["echo 1"]})),
        work::step("two", json!({"runCommand": ["echo 2"]})),
    ]);
    let run = scene.coordinator.send(&item).await;
    scene.coordinator.end(run).await;
    for again in [false, true] {
        if again {
            scene.agent.kill();
            scene.launch_again().await;
        }
        let mut listener = Listener::new(&scene, run, "after", 1 << 20).await;
        listener.hear_to_the_end().await;
        assert_eq!(listener.text("one", OutputStream::Stdout), "1\n");
        assert_eq!(listener.text("two", OutputStream::Stdout), "2\n");
    }
}

#[tokio::test]
async fn a_slow_listener_gets_all_of_much_output_and_does_not_slow_the_script() {
    let scene = Scene::start().await;
    let item = work::script(&["yes 0123456789 | head -c 3000000"]);
    let run = scene.coordinator.send(&item).await;
    let mut slow = Listener::new(&scene, run, "slow", 10_000).await;
    scene.coordinator.end(run).await;
    let arrived: usize = slow.have.values().map(Vec::len).sum();
    assert!(arrived <= 10_000, "{arrived} bytes came without being asked for");
    slow.window = 1 << 18;
    slow.ask(false).await;
    slow.hear_to_the_end().await;
    let expected: String = "0123456789\n".repeat(300_000).chars().take(3_000_000).collect();
    assert!(slow.text("only", OutputStream::Stdout) == expected);
}
