//! Services and servers that do not want this node (agent.md B7).

use muster_harness::{Folder, until};
use muster_proto::agent::v1::RunStatus;
use muster_wire::subject;

use crate::agent_process::{AgentProcess, is_alive, pid};
use crate::{Scene, work};

#[tokio::test]
async fn a_node_that_was_deregistered_goes_on_quietly_and_comes_back() {
    let mut scene = Scene::start().await;
    scene.agent.kill();
    scene.coordinator.set_strange(true);
    scene.launch_again().await;
    let said = until("the agent says so", async || {
        let (log, (_, status)) = (scene.agent.log(), scene.agent.ask(&["status"]).await);
        let is_said = log.contains("the service does not accept this node; asking again every 5 minutes")
            && status.contains("the service does not accept this node");
        if is_said { Ok(log) } else { Err(status) }
    })
    .await;
    assert_eq!(
        said.matches("the service does not accept this node; asking again")
            .count(),
        1
    );
    let (is_well, lines) = scene.agent.ask(&["doctor"]).await;
    assert!(!is_well && lines.contains("FAIL  registration"), "{lines}");
    assert!(is_alive(pid(scene.agent.pid())));

    // Known again: a doorbell is enough.
    scene.coordinator.set_strange(false);
    let node = &scene.coordinator.node;
    scene
        .coordinator
        .client
        .publish(subject::config(node), "".into())
        .await
        .unwrap();
    until("the status is clean", async || {
        let (_, status) = scene.agent.ask(&["status"]).await;
        if status.contains("refused") {
            Err(status)
        } else {
            Ok(())
        }
    })
    .await;
    let run = scene.coordinator.send(&work::script(&["true"])).await;
    assert_eq!(scene.coordinator.end(run).await.status(), RunStatus::Success);
}

#[tokio::test]
async fn a_server_that_refuses_us_is_asked_every_five_minutes() {
    let folder = Folder::new("locked");
    let config = folder.join("nats.conf");
    std::fs::write(
        &config,
        "listen: 127.0.0.1:-1\nauthorization { user: somebody, password: else }\n",
    )
    .unwrap();
    let server = std::env::var("MUSTER_NATS_SERVER").unwrap_or_else(|_| "nats-server".to_owned());
    let mut locked = std::process::Command::new(server)
        .arg("-c")
        .arg(&config)
        .arg("--ports_file_dir")
        .arg(folder.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let address = until("the server has written its port", async || {
        let ports = std::fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .find(|file| file.path().extension().is_some_and(|ending| ending == "ports"))
            .ok_or("no file yet")?;
        let text = std::fs::read_to_string(ports.path()).map_err(|_| "unreadable")?;
        let ports: serde_json::Value = serde_json::from_str(&text).map_err(|_| "half a file")?;
        ports["nats"][0].as_str().map(str::to_owned).ok_or("no port")
    })
    .await;
    let agent = AgentProcess::start(&address, "");
    until("the agent slows down and says why", async || {
        let log = agent.log();
        if log.contains("the server refuses this node's credentials; trying again every 5 minutes") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert!(is_alive(pid(agent.pid())));
    let (_, lines) = agent.ask(&["doctor", "--server", &address]).await;
    assert!(lines.contains("FAIL  credentials"), "{lines}");
    drop(agent);
    locked.kill().unwrap();
    locked.wait().unwrap();
}
