//! `aws:runDockerAction` with a docker that is played by a script, and the actions that say why they cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use muster_proto::agent::v1::{RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::{Scene, work};

/// One step of an action in a document of schema 2.2.
pub(crate) fn one(action: &str, inputs: Value) -> Value {
    json!({"schemaVersion": "2.2", "mainSteps": [{"action": action, "name": "only", "inputs": inputs}]})
}

/// A docker that prints its arguments, one a line, and the variables for the container.
fn docker(scene: &mut Scene) -> std::path::PathBuf {
    let program = scene.agent.scratch("docker");
    let lines = "#!/bin/sh\nfor word in \"$@\"; do echo \"[$word]\"; case $word in --env-file=*) cat \"${word#*=}\";; esac; done\n\
                 case $1 in stop) sleep 600;; rm) echo gone >&2; exit 7;; esac\n";
    fs::write(&program, lines).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[tokio::test]
async fn containers_are_managed_through_the_docker_program() {
    let mut scene = Scene::start().await;
    let program = docker(&mut scene);
    scene.agent.set_config(&format!("[docker]\nprogram = {program:?}\n"));
    let say_hello = scene.coordinator.hellos().len();
    muster_harness::until("the configuration is read", async || {
        let hellos = scene.coordinator.hellos().len();
        if hellos > say_hello { Ok(()) } else { Err(hellos) }
    })
    .await;
    let touched = scene.agent.scratch("touched");
    let document = one(
        "aws:runDockerAction",
        json!({
            "action": "Run", "image": "nginx:1", "container": "web", "memory": "64m", "volume": ["/a:/b", "/c d:/e"],
            "env": "TOKEN=s3cret", "cmd": format!("sh -c \"touch {}; echo 'a b'\"", touched.display()),
        }),
    );
    let run = scene.coordinator.send(&work::of(&document)).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    let seen = ended.step().stdout.clone();
    for expected in [
        "[run]\n[--name=web]\n[--memory=64m]\n[--volume=/a:/b]\n[--volume=/c d:/e]\n",
        "\nTOKEN=s3cret\n",
        "[nginx:1]\n[sh]\n[-c]\n[touch ",
    ] {
        assert!(seen.contains(expected), "{seen}");
    }
    assert!(seen.ends_with("; echo 'a b']\n"), "{seen}");
    assert!(!touched.exists(), "no shell sees the arguments");
    let left = fs::read_dir(scene.agent.state().run(run)).unwrap().flatten();
    assert!(
        left.into_iter()
            .all(|file| file.path().extension().is_none_or(|ending| ending != "env"))
    );

    for (inputs, status, words) in [
        (
            json!({"action": "Rm", "container": "web"}),
            StepStatus::Failed,
            "exit status 7",
        ),
        (
            json!({"action": "Start"}),
            StepStatus::Failed,
            "action Start needs the input container",
        ),
        (
            json!({"action": "Pull", "image": "--privileged"}),
            StepStatus::Failed,
            "must not begin with a dash",
        ),
        (
            json!({"action": "Stop", "container": "web", "timeoutSeconds": 5}),
            StepStatus::TimedOut,
            "timed out after 5 seconds",
        ),
    ] {
        let run = scene
            .coordinator
            .send(&work::of(&one("aws:runDockerAction", inputs)))
            .await;
        let ended = scene.coordinator.end(run).await;
        assert_eq!(ended.step().status(), status, "{ended:#?}");
        assert!(
            ended.step().stderr.contains(words),
            "{} lacks {words}",
            ended.step().stderr
        );
    }
}

#[tokio::test]
async fn what_cannot_be_done_here_says_why() {
    let scene = Scene::with_settings("[docker]\nprogram = \"no-such-docker\"\n").await;
    for (action, inputs, words) in [
        (
            "aws:runDockerAction",
            json!({"action": "Ps"}),
            "\"no-such-docker\" is not installed on this machine",
        ),
        (
            "aws:configureDocker",
            json!({"action": "Install"}),
            "cannot install Docker on Linux",
        ),
        ("aws:refreshAssociation", json!({}), "needs State Manager"),
        (
            "aws:configurePackage",
            json!({"action": "Install", "name": "arn:aws:ssm:::package/tool"}),
            "has no package store",
        ),
        ("aws:updateSsmAgent", json!({}), "has no package store"),
    ] {
        let run = scene.coordinator.send(&work::of(&one(action, inputs))).await;
        let ended = scene.coordinator.end(run).await;
        assert_eq!(
            (ended.status(), ended.step().code),
            (RunStatus::Failed, -1),
            "{ended:#?}"
        );
        assert!(ended.step().trace.contains(words), "{action}: {}", ended.step().trace);
    }
}
