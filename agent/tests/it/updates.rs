//! `aws:updateSsmAgent` with real programs: the agent replaces itself by a later version, or comes back (D19).

use std::fs;
use std::path::PathBuf;

use muster_agent::journal::RunId;
use muster_agent::package::{Order, SigningKey, build};
use muster_harness::until;
use muster_proto::agent::v1::RunStatus;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::agent_process::{is_alive, pid};
use crate::tools::one;
use crate::{Scene, work};

/// The version of the program that `tests/next` is.
pub(crate) const NEXT: &str = "99.1.0";

/// An agent that takes updates from a store, and the store's key.
pub(crate) struct Workshop {
    pub(crate) scene: Scene,
    key: SigningKey,
    store: PathBuf,
}

impl Workshop {
    async fn open() -> Self {
        Self::open_with("", 5).await
    }

    /// With settings of its own, and a trial of so many seconds.
    pub(crate) async fn open_with(settings: &str, confirm_seconds: u32) -> Self {
        let key = SigningKey::generate().unwrap();
        let scene = Scene::with_settings(settings).await;
        let store = scene.agent.scratch("store");
        let hellos = scene.coordinator.hellos().len();
        scene.agent.set_config(&format!(
            "{settings}[packages]\nurl = {store:?}\nkeys = [\"{}\"]\n[update]\nconfirm_seconds = {confirm_seconds}\n",
            key.public()
        ));
        until("the configuration is read", async || {
            let now = scene.coordinator.hellos().len();
            if now > hellos { Ok(()) } else { Err(now) }
        })
        .await;
        Self { scene, key, store }
    }

    /// Adds an agent's version to the store.
    fn add(&self, version: &str, program: &[u8], key: Option<&SigningKey>) {
        let from = self.scene.agent.scratch(&format!("agent-{version}"));
        fs::create_dir_all(&from).unwrap();
        fs::write(from.join("muster-agent"), program).unwrap();
        let order = Order {
            name: "muster-agent",
            version,
            platform: "_any",
            platform_version: "_any",
            architecture: std::env::consts::ARCH,
            directory: &from,
            store: &self.store,
        };
        build(&order, key).unwrap();
    }

    /// The real one.
    pub(crate) fn add_next(&self) {
        let own = PathBuf::from(env!("CARGO_BIN_EXE_muster-agent"));
        let next = own.with_file_name("examples").join("muster-agent-next");
        self.add(NEXT, &fs::read(next).unwrap(), Some(&self.key));
    }

    /// One that says its version and then does `rest`.
    fn add_script(&self, version: &str, rest: &str) {
        let text = format!("#!/bin/sh\nif [ \"$1\" = version ]; then echo {version}; exit 0; fi\n{rest}\n");
        self.add(version, text.as_bytes(), Some(&self.key));
    }

    pub(crate) async fn update(&self, inputs: Value) -> RunId {
        self.scene
            .coordinator
            .send(&work::of(&one("aws:updateSsmAgent", inputs)))
            .await
    }

    /// Waits until the last hello is one of this version.
    pub(crate) async fn greets_as(&self, version: &str) {
        until("the agent says hello", async || {
            let last = self.scene.coordinator.hellos().pop().and_then(|hello| hello.facts);
            let said = last.map(|facts| facts.agent_version).unwrap_or_default();
            if said == version { Ok(()) } else { Err(said) }
        })
        .await;
    }

    pub(crate) fn versions(&self, name: &str) -> PathBuf {
        self.scene.agent.scratch("state/versions").join(name)
    }
}

#[tokio::test]
async fn a_new_version_takes_over_and_brings_the_result() {
    let shop = Workshop::open().await;
    shop.add_next();
    let process = shop.scene.agent.pid();
    let run = shop.update(json!({})).await;
    let ended = shop.scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert!(
        ended.step().stdout.contains(&format!("was replaced by {NEXT}")),
        "{}",
        ended.step().stdout
    );
    assert!(ended.is_complete());
    shop.greets_as(NEXT).await;
    // It is the same process, so that whoever supervises it notices nothing.
    assert_eq!(shop.scene.agent.state().agent(), Some(process));

    let run = shop.update(json!({"targetVersion": NEXT})).await;
    let ended = shop.scene.coordinator.end(run).await;
    assert!(ended.step().stdout.contains("runs already"), "{ended:#?}");
    // The owner's program hands over when it is started again.
    let mut scene = shop.scene;
    assert!(scene.agent.terminate().await.success());
    let hellos = scene.coordinator.hellos().len();
    scene.launch_again().await;
    let greeted = scene.coordinator.hellos()[hellos..]
        .iter()
        .filter_map(|hello| hello.facts.clone())
        .next()
        .unwrap();
    assert_eq!(greeted.agent_version, NEXT);

    let down = json!({"targetVersion": "0.0.1"});
    let item = work::of(&one("aws:updateSsmAgent", down));
    let run = scene.coordinator.send(&item).await;
    let ended = scene.coordinator.end(run).await;
    assert!(
        ended
            .step()
            .trace
            .contains("no package muster-agent in the version 0.0.1"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn an_older_version_comes_back_when_somebody_asks_for_it() {
    let shop = Workshop::open().await;
    shop.add_next();
    let own = muster_agent::facts::VERSION;
    let program = fs::read(env!("CARGO_BIN_EXE_muster-agent")).unwrap();
    shop.add(own, &program, Some(&shop.key));
    let up = shop.update(json!({})).await;
    assert_eq!(shop.scene.coordinator.end(up).await.status(), RunStatus::Success);
    shop.greets_as(NEXT).await;
    let down = json!({"targetVersion": own, "allowDowngrade": "true"});
    let ended = shop.scene.coordinator.end(shop.update(down).await).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    shop.greets_as(own).await;
}

#[tokio::test]
async fn a_run_that_goes_on_meanwhile_ends_once() {
    let shop = Workshop::open().await;
    shop.add_next();
    let (go_on, count) = (shop.scene.agent.scratch("go-on"), shop.scene.agent.scratch("count"));
    let lines = [
        format!("echo begun >> '{}'", count.display()),
        work::wait_for(&go_on),
        "echo over".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let long = shop.scene.coordinator.send(&work::script(&lines)).await;
    shop.scene.agent.runner(long).await;
    // Without being forced it waits for the others.
    let patient = shop.update(json!({"timeoutSeconds": 5})).await;
    let ended = shop.scene.coordinator.end(patient).await;
    assert_eq!(ended.status(), RunStatus::Failed);
    assert!(
        ended.step().trace.contains("1 other runs are still going on"),
        "{}",
        ended.step().trace
    );

    let forced = shop.update(json!({"force": "true"})).await;
    let ended = shop.scene.coordinator.end(forced).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    shop.greets_as(NEXT).await;
    fs::write(&go_on, "").unwrap();
    let ended = shop.scene.coordinator.end(long).await;
    assert_eq!(
        (ended.status(), ended.step().stdout.as_str()),
        (RunStatus::Success, "over\n"),
        "{ended:#?}"
    );
    assert!(ended.is_complete());
    assert_eq!(fs::read_to_string(count).unwrap(), "begun\n");
}

#[tokio::test]
async fn a_version_that_ends_at_once_is_taken_back() {
    let shop = Workshop::open().await;
    shop.add_script("98.0.0", "exit 1");
    let run = shop.update(json!({})).await;
    let ended = shop.scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Failed, "{ended:#?}");
    assert!(
        ended.step().trace.contains("98.0.0 was taken back"),
        "{}",
        ended.step().trace
    );
    assert!(!shop.versions("current").exists());
    // Nobody supervises this agent, so the run started it again.
    let back = pid(shop.scene.agent.state().agent().unwrap());
    assert!(is_alive(back));
    kill_process(back, Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_version_that_never_reaches_its_service_is_taken_back() {
    let shop = Workshop::open().await;
    shop.add_script("98.0.0", "exec sleep 600");
    let run = shop.update(json!({})).await;
    let ended = shop.scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Failed, "{ended:#?}");
    assert!(
        ended
            .step()
            .trace
            .contains("did not reach its service within 5 seconds"),
        "{}",
        ended.step().trace
    );
    let back = pid(shop.scene.agent.state().agent().unwrap());
    assert!(is_alive(back));
    kill_process(back, Signal::KILL).unwrap();
}

#[tokio::test]
async fn what_must_not_run_is_refused_before_anything_changes() {
    let shop = Workshop::open().await;
    let refused = async |inputs: Value, words: &str| {
        let run = shop.update(inputs).await;
        let ended = shop.scene.coordinator.end(run).await;
        assert_eq!(ended.status(), RunStatus::Failed);
        assert!(
            ended.step().trace.contains(words),
            "{} lacks {words}",
            ended.step().trace
        );
        assert!(!shop.versions("current").exists());
    };
    shop.add("0.0.1", b"x", Some(&shop.key));
    refused(json!({"targetVersion": "0.0.1"}), "allowDowngrade must be true").await;
    shop.add("98.0.0", b"x", Some(&SigningKey::generate().unwrap()));
    refused(
        json!({"targetVersion": "98.0.0"}),
        "not among this machine's package keys",
    )
    .await;
    shop.add("98.1.0", b"x", None);
    refused(json!({"targetVersion": "98.1.0"}), "it is not signed").await;
    shop.add("98.2.0", b"#!/bin/sh\necho 1.2.3\n", Some(&shop.key));
    refused(json!({"targetVersion": "98.2.0"}), "does not work here").await;
    refused(json!({"agentName": "other"}), "it cannot update other").await;
}
