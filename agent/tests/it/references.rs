//! What runs refer to in the parameter store (run-command 8.2, parameter-store 11).

use muster_harness::until;
use muster_proto::agent::v1::{DocumentResult, RunStatus};
use serde_json::{Value, json};

use crate::{Scene, work};

const SECRET: &str = "canary-of-a-secret";

/// A document with one parameter that travels as an environment variable.
fn with_variable(lines: Value) -> Value {
    json!({
        "schemaVersion": "2.2",
        "parameters": {"pw": {"type": "String", "interpolationType": "ENV_VAR"}},
        "mainSteps": [work::step("only", json!({"runCommand": lines}))],
    })
}

#[tokio::test]
async fn more_than_one_question_holds_is_asked_in_several_and_each_name_once() {
    let scene = Scene::start().await;
    let names: Vec<String> = (0..23).map(|number| format!("name-{number}")).collect();
    for name in &names {
        scene.coordinator.store(name, "String", &format!("value of {name}"));
    }
    let lines: Vec<String> = names
        .iter()
        .map(|name| format!("echo {{{{ssm:{name}}}}} {{{{ ssm:{name} }}}}"))
        .collect();
    let item = work::script(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let ended = scene.coordinator.end(scene.coordinator.send(&item).await).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    let expected: String = names
        .iter()
        .map(|name| format!("value of {name} value of {name}\n"))
        .collect();
    assert_eq!(ended.steps()[0].stdout, expected);
    let asked = scene.coordinator.asked_for_parameters();
    let sizes: Vec<usize> = asked.iter().map(|question| question.names.len()).collect();
    assert_eq!(sizes, [10, 10, 3]);
    assert!(
        asked
            .iter()
            .all(|question| !question.with_decryption && question.run_id == item.run_id)
    );
    assert_ne!(asked[0].sealing_key, asked[1].sealing_key);
}

#[tokio::test]
async fn a_secret_is_in_the_environment_of_the_script_and_masked_in_all_it_prints() {
    let scene = Scene::start().await;
    scene.coordinator.store("/pw", "SecureString", SECRET);
    let lines = json!([
        "echo \"<$SSM_pw>\"",
        "printf '%s' \"$SSM_pw\" | cut -c1-6",
        "echo \"$SSM_pw\" >&2",
        "exit 3"
    ]);
    let mut item = work::of(&with_variable(lines));
    work::parameter(&mut item, "pw", "{{ssm-secure:/pw}}");
    let ended = scene.coordinator.end(scene.coordinator.send(&item).await).await;
    let step = ended.steps()[0];
    assert_eq!((step.stdout.as_str(), step.code), ("<********>\ncanary\n", 3));
    assert_eq!(step.stderr, "********\nfailed to run commands: exit status 3\n");
    assert!(!format!("{ended:?}").contains(SECRET));
    assert!(scene.agent.nowhere(SECRET), "the secret lies in the state directory");
}

#[tokio::test]
async fn a_document_within_a_document_refers_to_parameters_of_its_own() {
    let scene = Scene::start().await;
    scene.coordinator.store("/pw", "SecureString", SECRET);
    scene.coordinator.store("/who", "String", "world");
    scene.coordinator.lend(DocumentResult {
        name: "Inner".into(),
        version: "1".into(),
        content: with_variable(json!(["echo hello {{ssm:/who}} \"$SSM_pw\""])).to_string(),
        format: "JSON".into(),
        document_type: "Command".into(),
        ..DocumentResult::default()
    });
    let call = |secret: &str| {
        let inputs =
            json!({"documentType": "SSMDocument", "documentPath": "Inner", "documentParameters": {"pw": secret}});
        work::of(
            &json!({"schemaVersion": "2.2", "mainSteps": [{"action": "aws:runDocument", "name": "call", "inputs": inputs}]}),
        )
    };
    // In the inputs of the outer document it would be written down.
    let ended = scene
        .coordinator
        .end(scene.coordinator.send(&call("{{ssm-secure:/pw}}")).await)
        .await;
    assert!(
        ended
            .result
            .trace
            .contains("stands where the secret would be written down"),
        "{ended:?}"
    );
    scene.coordinator.lend(DocumentResult {
        name: "Inner".into(),
        version: "1".into(),
        content: json!({
            "schemaVersion": "2.2",
            "parameters": {"pw": {"type": "String", "interpolationType": "ENV_VAR", "default": "{{ ssm-secure:/pw }}"}},
            "mainSteps": [work::step("only", json!({"runCommand": ["echo hello {{ssm:/who}} \"$SSM_pw\""]}))],
        })
        .to_string(),
        format: "JSON".into(),
        document_type: "Command".into(),
        ..DocumentResult::default()
    });
    let inputs = json!({"documentType": "SSMDocument", "documentPath": "Inner"});
    let outer =
        json!({"schemaVersion": "2.2", "mainSteps": [{"action": "aws:runDocument", "name": "call", "inputs": inputs}]});
    let ended = scene
        .coordinator
        .end(scene.coordinator.send(&work::of(&outer)).await)
        .await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!(ended.steps()[0].stdout, "hello world ********\n");
    assert!(scene.agent.nowhere(SECRET), "the secret lies in the state directory");
}

#[tokio::test]
async fn a_run_that_waits_for_parameters_can_be_cancelled_and_survives_its_runner() {
    let mut scene = Scene::start().await;
    scene.coordinator.store("a", "String", "found");
    scene.coordinator.set_deaf(true);
    let run = scene.coordinator.send(&work::script(&["echo {{ssm:a}}"])).await;
    let asked = async |scene: &Scene, times: usize| {
        until("the run has asked", async || {
            let count = scene.coordinator.asked_for_parameters().len();
            if count >= times { Ok(()) } else { Err(count) }
        })
        .await;
    };
    asked(&scene, 1).await;
    scene.coordinator.cancel(run).await;
    scene.coordinator.set_deaf(false);
    assert_eq!(scene.coordinator.end(run).await.status(), RunStatus::Cancelled);

    // Killed while it waits: it goes on where it was, since no step had begun.
    scene.coordinator.set_deaf(true);
    let before = scene.coordinator.asked_for_parameters().len();
    let run = scene.coordinator.send(&work::script(&["echo {{ssm:a}}"])).await;
    asked(&scene, before + 1).await;
    let runner = scene.agent.runner(run).await;
    crate::agent_process::kill(runner);
    scene.agent.kill();
    scene.coordinator.set_deaf(false);
    scene.launch_again().await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(
        (ended.status(), ended.steps()[0].stdout.as_str()),
        (RunStatus::Success, "found\n")
    );
}

#[tokio::test]
async fn a_run_whose_time_ends_while_the_parameters_come_never_begins() {
    let scene = Scene::start().await;
    let trace = scene.agent.scratch("trace");
    scene.coordinator.store("a", "String", "found");
    scene.coordinator.set_deaf(true);
    let mut item = work::script(&[&format!("echo {{{{ssm:a}}}} > {}", trace.display())]);
    item.time_to_live_ms = 3_000;
    let run = scene.coordinator.send(&item).await;
    until("its time is over, and it has asked before", async || {
        let log = scene.agent.state().journal().open_log(run);
        let history = muster_agent::journal::read(&log).map_err(|error| error.to_string())?;
        let deadline = history.accepted.and_then(|accepted| accepted.deadline);
        let deadline = deadline.ok_or("no deadline")?;
        let now = muster_agent::facts::moment(&deadline.boot_id, jiff::Timestamp::now());
        let has_asked = !scene.coordinator.asked_for_parameters().is_empty();
        match deadline.has_passed(&now) && has_asked {
            true => Ok(()),
            false => Err("not yet".to_owned()),
        }
    })
    .await;
    scene.coordinator.set_deaf(false);
    let done = scene.agent.state().journal().done_log(run);
    until("the run is dropped", async || {
        muster_agent::journal::read(&done)
            .map(|history| assert!(history.dropped))
            .map_err(|error| error.to_string())
    })
    .await;
    assert!(!trace.exists(), "it ran after its time");
}

#[tokio::test]
async fn a_run_of_which_nothing_is_left_ends_as_it_is_whether_or_not_its_parameters_are_there() {
    let mut scene = Scene::start().await;
    scene.coordinator.store("a", "String", "found");
    let mark = scene.agent.scratch("mark");
    let lines = [
        format!("echo {{{{ssm:a}}}} > {}", mark.display()),
        "exec sleep 1000".to_owned(),
    ];
    let run = scene.coordinator.send(&work::script(&[&lines[0], &lines[1]])).await;
    until("the step runs", async || {
        std::fs::read_to_string(&mark).map_err(|error| error.to_string())
    })
    .await;
    let runner = scene.agent.runner(run).await;
    crate::agent_process::kill(runner);
    scene.agent.kill();
    // The store knows it no more, and the only step has failed by its interruption.
    scene.coordinator.forget_parameters();
    scene.launch_again().await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!((ended.status(), ended.steps().len()), (RunStatus::Failed, 1));
    assert!(
        ended.steps()[0]
            .trace
            .contains("interrupted: the runner died during this step")
    );
    assert_eq!(ended.result.trace, "");
}
