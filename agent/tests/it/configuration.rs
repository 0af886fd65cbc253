//! The layers of the configuration (agent.md B10).

use muster_harness::until;

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
