//! Documents with several steps, documents that are wrong (D22).

use muster_proto::agent::v1::{RunStatus, StepStatus};
use serde_json::json;

use crate::coordinator::Ended;
use crate::{Scene, work};

async fn outcome_of(scene: &Scene, document: serde_json::Value) -> Ended {
    let run = scene.coordinator.send(&work::of(&document)).await;
    scene.coordinator.end(run).await
}

fn seen(ended: &Ended) -> Vec<(&str, StepStatus)> {
    ended
        .steps()
        .iter()
        .map(|step| (step.name.as_str(), step.status()))
        .collect()
}

#[tokio::test]
async fn an_old_document_has_a_result_for_each_plugin() {
    let scene = Scene::start().await;
    let document = json!({
        "schemaVersion": "1.2",
        "runtimeConfig": {
            "aws:runShellScript": {"properties": [
                {"id": "0.aws:runShellScript", "runCommand": ["echo one"]},
                {"id": "1.aws:runShellScript", "runCommand": ["echo two", "exit 3"]},
            ]},
            "aws:runPowerShellScript": {"properties": [{"id": "0.aws:runPowerShellScript", "runCommand": ["'three'"]}]},
        },
    });
    let ended = outcome_of(&scene, document).await;
    let steps = ended.steps();
    let shell = steps.iter().find(|step| step.name == "aws:runShellScript").unwrap();
    assert_eq!(
        (shell.status(), shell.code, shell.stdout.as_str()),
        (StepStatus::Failed, 3, "one\ntwo\n")
    );
    let power = steps
        .iter()
        .find(|step| step.name == "aws:runPowerShellScript")
        .unwrap();
    if power.status() == StepStatus::Failed {
        assert!(
            power
                .trace
                .contains("PowerShell is not installed on this machine: there is no program \"pwsh\""),
            "{}",
            power.trace
        );
    } else {
        assert_eq!(power.stdout, "three\n");
    }
    assert_eq!(steps.len(), 2);
    assert_eq!(ended.status(), RunStatus::Failed);
}

#[tokio::test]
async fn a_plugin_of_another_platform_fails_or_is_skipped_as_the_schema_says() {
    let scene = Scene::start().await;
    let document = |schema: &str| {
        json!({
            "schemaVersion": schema,
            "mainSteps": [
                {"action": "aws:applications", "name": "windows", "inputs": {"action": "Install", "source": "x.msi"}},
                work::step("linux", json!({"runCommand": ["true"]})),
            ],
        })
    };
    let old = outcome_of(&scene, document("2.0")).await;
    assert_eq!(
        seen(&old),
        [("windows", StepStatus::Failed), ("linux", StepStatus::Success)]
    );
    assert_eq!(old.status(), RunStatus::Failed);
    let new = outcome_of(&scene, document("2.2")).await;
    assert_eq!(
        seen(&new),
        [("windows", StepStatus::Skipped), ("linux", StepStatus::Success)]
    );
    assert_eq!(new.status(), RunStatus::Success);
}

#[tokio::test]
async fn steps_follow_the_flow_words() {
    let scene = Scene::start().await;
    let steps = |first: serde_json::Value| {
        json!({"schemaVersion": "2.2", "mainSteps": [
            work::step("first", first),
            work::step("second", json!({"runCommand": ["true"]})),
            work::step("last", json!({"runCommand": ["true"], "finallyStep": true})),
        ]})
    };
    let goes_on = outcome_of(&scene, steps(json!({"runCommand": ["exit 1"]}))).await;
    assert_eq!(
        seen(&goes_on),
        [
            ("first", StepStatus::Failed),
            ("second", StepStatus::Success),
            ("last", StepStatus::Success)
        ]
    );
    assert_eq!(goes_on.status(), RunStatus::Failed);
    let expected = |first| {
        [
            ("first", first),
            ("second", StepStatus::Skipped),
            ("last", StepStatus::Success),
        ]
    };
    let stops = outcome_of(&scene, steps(json!({"runCommand": ["exit 1"], "onFailure": "exit"}))).await;
    assert_eq!(
        (seen(&stops), stops.status()),
        (expected(StepStatus::Failed).to_vec(), RunStatus::Failed)
    );
    let enough = outcome_of(&scene, steps(json!({"runCommand": ["exit 168"]}))).await;
    assert_eq!(
        (seen(&enough), enough.status()),
        (expected(StepStatus::Success).to_vec(), RunStatus::Success)
    );
    let fatal = outcome_of(&scene, steps(json!({"runCommand": ["exit 169"]}))).await;
    assert_eq!(
        (seen(&fatal), fatal.status()),
        (expected(StepStatus::Failed).to_vec(), RunStatus::Failed)
    );
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let scene = Scene::start().await;
    for (document, why) in [
        (json!({"schemaVersion": "2.2", "mainSteps": []}), "invalid document"),
        (json!("no document"), "invalid document"),
        (
            json!({"schemaVersion": "2.2", "mainSteps": [{"action": "aws:bakeCake", "name": "a", "inputs": {}}]}),
            "aws:runShellScript",
        ),
        (
            json!({"schemaVersion": "2.2", "mainSteps": [work::step("a", json!({"runCommand": ["echo {{ssm:secret}}"]}))]}),
            "Input contains invalid parameters [secret]",
        ),
    ] {
        let ended = outcome_of(&scene, document.clone()).await;
        assert_eq!(
            (ended.status(), ended.steps().len()),
            (RunStatus::Failed, 0),
            "{document}"
        );
        assert!(ended.result.trace.contains(why), "{} lacks {why:?}", ended.result.trace);
    }
    let mut item = work::script(&["true"]);
    work::parameter(&mut item, "unknown", "a-secret-value");
    let run = scene.coordinator.send(&item).await;
    let ended = scene.coordinator.end(run).await;
    assert!(ended.result.trace.contains("invalid parameters: parameter unknown"));
    assert!(!scene.agent.log().contains("a-secret-value"));
}
