//! What an agent's state directory tells, and what its doctor finds (agent.md B10).

use muster_harness::until;

use crate::{Scene, work};

#[tokio::test]
async fn a_well_agent_is_told_line_by_line() {
    let mut scene = Scene::start().await;
    let run = scene
        .coordinator
        .send(&work::script(&["echo out", "echo err >&2"]))
        .await;
    scene.coordinator.end(run).await;
    let node = scene.coordinator.node.to_string();
    until("the status is complete", async || {
        let (is_well, text) = scene.agent.ask(&["status"]).await;
        let parts = [
            node.as_str(),
            "running (pid",
            "0 open, 1 done",
            "connected since",
            "ms from the service's",
            "20000 entries",
        ];
        if is_well && parts.iter().all(|part| text.contains(part)) {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
    let id = run.to_string();
    let (_, runs) = scene.agent.ask(&["runs"]).await;
    assert!(
        runs.contains(&id) && runs.contains("Success") && runs.contains("Test"),
        "{runs}"
    );
    let (_, logs) = scene.agent.ask(&["logs", &id]).await;
    assert!(logs.contains("out\n-- stderr\nerr\n"), "{logs}");

    let (is_well, lines) = scene.agent.ask(&["doctor"]).await;
    assert!(is_well, "{lines}");
    for (line, word) in lines.lines().zip([
        "ok    configuration",
        "ok    policy",
        "ok    agent",
        "warn  work",
        "ok    identity",
        "ok    disk",
        "ok    execution",
        "ok    name",
        "ok    tcp",
        "warn  tls",
        "ok    credentials",
        "ok    registration",
        "ok    clock",
    ]) {
        assert!(line.starts_with(word), "{line:?} is not {word:?}");
    }
    assert_eq!(lines.lines().count(), 13, "{lines}");

    scene.agent.kill();
    scene.nats.kill();
    let (is_well, lines) = scene.agent.ask(&["doctor"]).await;
    assert!(!is_well, "{lines}");
    assert!(
        lines.contains("FAIL  agent          not running; fix: systemctl start muster-agent"),
        "{lines}"
    );
    let tcp = lines.lines().find(|line| line.starts_with("FAIL  tcp")).unwrap();
    assert!(tcp.contains("; fix: start the server"), "{tcp}");
    let (is_well, status) = scene.agent.ask(&["status"]).await;
    assert!(is_well && status.contains("not running"), "{status}");
}

#[test]
fn a_version_can_be_read_by_programs() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_muster-agent"))
        .args(["version", "--json"])
        .output()
        .unwrap();
    let about: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(about["version"], muster_agent::facts::VERSION);
    assert!(about["capabilities"].is_array());
}
