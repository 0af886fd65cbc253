//! The layers of the configuration (agent.md B10).

use muster_harness::{NatsServer, until};

use crate::agent_process::{AgentProcess, is_alive, pid};
use crate::coordinator::Coordinator;
use crate::{Scene, work};

async fn says(scene: &Scene, variable: &str) -> String {
    let line = format!("echo ${variable}");
    let run = scene.coordinator.send(&work::script(&[&line])).await;
    scene.coordinator.end(run).await.step().stdout.trim_end().to_owned()
}

#[tokio::test]
async fn additions_and_variables_override_the_file() {
    let variables = [("MUSTER_AGENT__ENVIRONMENT__THIRD", "of the environment")];
    let scene = Scene::with_environment(
        "[environment]\nFIRST = \"of the file\"\nSECOND = \"of the file\"\nTHIRD = \"of the file\"",
        &variables,
    )
    .await;
    let additions = scene.agent.config().with_extension("toml.d");
    std::fs::create_dir(&additions).unwrap();
    std::fs::write(
        additions.join("10-more.toml"),
        "log = \"trace\"\n[environment]\nSECOND = \"of an addition\"\nTHIRD = \"of an addition\"",
    )
    .unwrap();
    scene.agent.hang_up();
    until("the addition applies", async || {
        let second = says(&scene, "SECOND").await;
        if second == "of an addition" {
            Ok(())
        } else {
            Err(second)
        }
    })
    .await;
    assert_eq!(says(&scene, "FIRST").await, "of the file");
    assert_eq!(says(&scene, "THIRD").await, "of the environment");
}

#[tokio::test]
async fn an_agent_that_starts_with_a_bad_file_goes_on_with_the_last_good_one() {
    let mut scene = Scene::with_settings("region = \"good\"").await;
    assert_eq!(says(&scene, "AWS_SSM_REGION_NAME").await, "good");
    scene.agent.kill();
    std::fs::write(scene.agent.config(), "regoin = \"bad\"").unwrap();
    scene.launch_again().await;
    assert_eq!(says(&scene, "AWS_SSM_REGION_NAME").await, "good");
    until("the status says so", async || {
        let (_, status) = scene.agent.ask(&["status"]).await;
        if status.contains("regoin") { Ok(()) } else { Err(status) }
    })
    .await;
    let config = scene.agent.config().display().to_string();
    let (is_well, lines) = scene.agent.ask(&["doctor", "--config", &config]).await;
    assert!(!is_well && lines.contains("FAIL  configuration"), "{lines}");
}

#[tokio::test]
async fn what_is_logged_can_be_changed_while_the_agent_runs() {
    let nats = NatsServer::start().await;
    let coordinator = Coordinator::start(&nats).await;
    // Without the variable that fixes it.
    let plain = ["env", "-u", "MUSTER_AGENT_LOG"].map(str::to_owned).to_vec();
    let agent = AgentProcess::start_within(plain, &nats.url(), "log = \"warn\"");
    coordinator.pulled().await;
    assert!(!agent.log().contains("\"INFO\""), "{}", agent.log());
    agent.set_config("log = \"debug,async_nats=warn\"");
    until("it says more", async || {
        let run = coordinator.send(&work::script(&["true"])).await;
        coordinator.end(run).await;
        let log = agent.log();
        if log.contains("\"INFO\"") { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(is_alive(pid(agent.pid())));
}
