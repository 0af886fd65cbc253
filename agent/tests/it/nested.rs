//! `aws:runDocument`: documents within documents.

use muster_proto::agent::v1::{DocumentResult, RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::agent_process::{is_alive, kill, pid_in};
use crate::{Scene, work};

fn lend(scene: &Scene, name: &str, document: &Value) {
    scene.coordinator.lend(DocumentResult {
        name: name.into(),
        version: "1".into(),
        content: document.to_string(),
        format: "JSON".into(),
        document_type: "Command".into(),
        ..DocumentResult::default()
    });
}

fn call(inputs: Value) -> Value {
    json!({"action": "aws:runDocument", "name": "call", "inputs": inputs})
}

fn call_service(path: &str, parameters: Value) -> Value {
    call(json!({"documentType": "SSMDocument", "documentPath": path, "documentParameters": parameters}))
}

fn script(name: &str, lines: Value) -> Value {
    work::step(name, json!({"runCommand": lines}))
}

#[tokio::test]
async fn a_document_of_the_service_runs_with_its_parameters_and_its_output_is_the_steps() {
    let scene = Scene::start().await;
    let inner = json!({
        "schemaVersion": "2.2",
        "parameters": {"who": {"type": "String"}, "how": {"type": "StringList", "default": ["loud"]},
                       "safe": {"type": "String", "default": "x", "interpolationType": "ENV_VAR"}},
        "mainSteps": [
            script("greet", json!(["echo hello {{ who }}", "echo \"$SSM_safe\""])),
            script("complain", json!(["echo oops >&2"])),
            json!({"action": "aws:applications", "name": "windows", "inputs": {"action": "Install", "source": "x.msi"}}),
        ],
    });
    lend(&scene, "Inner", &inner);
    let outer = work::steps(&[
        call_service("Inner:1", json!({"who": "world", "safe": "; touch /tmp/never"})),
        script("after", json!(["echo after"])),
    ]);
    let ended = scene.coordinator.end(scene.coordinator.send(&outer).await).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    let step = ended.steps()[0];
    assert_eq!(step.stdout, "hello world\n; touch /tmp/never\n");
    assert_eq!(step.stderr, "oops\n");
    assert!(step.trace.contains("windows: Linux has no action"), "{}", step.trace);
    assert_eq!(ended.steps()[1].stdout, "after\n");
}

#[tokio::test]
async fn a_downloaded_document_runs_and_its_failure_is_the_steps() {
    let scene = Scene::start().await;
    let file = scene.agent.scratch("inner.yaml");
    std::fs::write(
        &file,
        "---\nschemaVersion: \"2.2\"\nparameters:\n  code:\n    type: String\nmainSteps:\n\
         - action: aws:runShellScript\n  name: fail\n  inputs:\n    runCommand:\n    - echo one\n    - exit {{ code }}\n\
         - action: aws:runShellScript\n  name: next\n  inputs:\n    runCommand:\n    - echo two\n",
    )
    .unwrap();
    let local = |parameters: Value| {
        call(json!({"documentType": "LocalPath", "documentPath": file, "documentParameters": parameters}))
    };
    let ended = scene
        .coordinator
        .end(scene.coordinator.send(&work::steps(&[local(json!("code: 7"))])).await)
        .await;
    let step = ended.step();
    assert_eq!((step.status(), step.code), (StepStatus::Failed, 7), "{step:?}");
    assert_eq!(step.stdout, "one\ntwo\n");
    assert!(step.stderr.contains("exit status 7"), "{}", step.stderr);

    // A reboot is not for a document within another.
    let ended = scene
        .coordinator
        .end(
            scene
                .coordinator
                .send(&work::steps(&[local(json!({"code": 194}))]))
                .await,
        )
        .await;
    assert_eq!(ended.step().status(), StepStatus::Failed, "{ended:#?}");

    let ended = scene
        .coordinator
        .end(scene.coordinator.send(&work::steps(&[local(json!({}))])).await)
        .await;
    assert!(
        ended.step().trace.contains("code"),
        "the missing parameter is named: {:?}",
        ended.step()
    );
}

#[tokio::test]
async fn documents_lie_three_deep_in_each_other_and_no_deeper() {
    let scene = Scene::start().await;
    let document = |steps: Value| json!({"schemaVersion": "2.2", "mainSteps": steps});
    lend(&scene, "Three", &document(json!([script("say", json!(["echo deep"]))])));
    lend(&scene, "Two", &document(json!([call_service("Three", json!({}))])));
    lend(&scene, "One", &document(json!([call_service("Two", json!({}))])));
    lend(&scene, "Zero", &document(json!([call_service("One", json!({}))])));
    for (name, expected) in [("One", RunStatus::Success), ("Zero", RunStatus::Failed)] {
        let ended = scene
            .coordinator
            .end(
                scene
                    .coordinator
                    .send(&work::steps(&[call_service(name, json!({}))]))
                    .await,
            )
            .await;
        assert_eq!(ended.status(), expected, "{name}: {ended:#?}");
        let step = ended.step();
        match expected {
            RunStatus::Success => assert_eq!(step.stdout, "deep\n"),
            _ => assert!(step.trace.contains("more than 3 deep"), "{}", step.trace),
        }
    }
}

#[tokio::test]
async fn inner_timeouts_and_cancels_end_the_inner_processes() {
    let scene = Scene::start().await;
    let child = scene.agent.scratch("child");
    let sleeps = |timeout: u64| {
        let line = format!("echo $$ > {}; exec sleep 600", child.display());
        json!({"schemaVersion": "2.2", "mainSteps": [
            work::step("sleep", json!({"runCommand": [line], "timeoutSeconds": timeout})),
        ]})
    };
    lend(&scene, "Short", &sleeps(5));
    lend(&scene, "Long", &sleeps(600));
    let ended = scene
        .coordinator
        .end(
            scene
                .coordinator
                .send(&work::steps(&[call_service("Short", json!({}))]))
                .await,
        )
        .await;
    assert_eq!(
        (ended.step().status(), ended.step().code),
        (StepStatus::TimedOut, 137),
        "{ended:#?}"
    );
    assert!(!is_alive(pid_in(&child).await));

    std::fs::remove_file(&child).unwrap();
    let run = scene
        .coordinator
        .send(&work::steps(&[call_service("Long", json!({}))]))
        .await;
    let process = pid_in(&child).await;
    scene.coordinator.cancel(run).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(
        (ended.status(), ended.step().status()),
        (RunStatus::Cancelled, StepStatus::Cancelled)
    );
    assert!(!is_alive(process));
}

#[tokio::test]
async fn an_inner_step_whose_runner_died_is_not_repeated() {
    let scene = Scene::start().await;
    let (child, traces) = (scene.agent.scratch("child"), scene.agent.scratch("traces"));
    let lines = json!([
        format!("echo once >> {}", traces.display()),
        format!("echo $$ > {}; exec sleep 600", child.display())
    ]);
    lend(
        &scene,
        "Inner",
        &json!({"schemaVersion": "2.2", "mainSteps": [script("long", lines)]}),
    );
    let run = scene
        .coordinator
        .send(&work::steps(&[call_service("Inner", json!({}))]))
        .await;
    let process = pid_in(&child).await;
    kill(scene.agent.runner(run).await);
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.step().status(), StepStatus::Failed);
    assert!(ended.step().trace.contains("interrupted"), "{}", ended.step().trace);
    assert_eq!(std::fs::read_to_string(&traces).unwrap(), "once\n");
    assert!(!is_alive(process), "nothing of the step outlives the verdict");
}
