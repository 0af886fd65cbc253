//! The owner of the machine has the last word (agent.md B10).

use muster_harness::Folder;
use muster_proto::agent::v1::{DocumentResult, RunStatus, WorkItem};
use serde_json::json;

use crate::{Scene, work};

#[tokio::test]
async fn a_policy_forbids_and_applies_at_once() {
    let folder = Folder::new("policy");
    let policy = folder.join("policy.toml");
    let set = |text: &str| std::fs::write(&policy, text).unwrap();
    set("");
    let scene = Scene::with_settings(&format!("policy_file = {policy:?}")).await;
    let touched = scene.agent.scratch("touched");
    let script = || work::script(&[&format!("echo line >> {}", touched.display())]);
    let outcome = async |item| {
        let run = scene.coordinator.send(&item).await;
        scene.coordinator.end(run).await
    };
    assert_eq!(outcome(script()).await.status(), RunStatus::Success);

    for (text, why) in [
        ("forbid_documents = [\"Te*\"]", "forbids the document \"Test\""),
        (
            "forbid_actions = [\"aws:runShellScript\"]",
            "forbids the action aws:runShellScript",
        ),
        (
            "forbid_action = [\"a key that does not exist\"]",
            "nothing runs on this node",
        ),
    ] {
        set(text);
        let ended = outcome(script()).await;
        assert_eq!((ended.status(), ended.steps().len()), (RunStatus::Failed, 0), "{text}");
        assert!(ended.result.trace.contains(why), "{}", ended.result.trace);
    }

    set("forbid_users = [\"root\"]");
    let ended = outcome(script()).await;
    assert_eq!(ended.status(), RunStatus::Failed);
    assert!(
        ended.step().trace.contains("forbids running as \"root\""),
        "{:?}",
        ended.step()
    );
    std::fs::remove_file(&policy).unwrap();
    let ended = outcome(script()).await;
    assert!(
        ended.result.trace.contains("cannot read the policy"),
        "{}",
        ended.result.trace
    );
    assert_eq!(std::fs::read_to_string(touched).unwrap(), "line\n");

    set("max_timeout_seconds = 5");
    let ended = outcome(work::with_inputs(
        json!({"runCommand": ["sleep 60"], "timeoutSeconds": 60}),
    ))
    .await;
    assert_eq!(ended.status(), RunStatus::TimedOut);
    assert!(
        ended
            .step()
            .trace
            .contains("this node lowered the timeout to 5 seconds"),
        "{}",
        ended.step().trace
    );
}

#[tokio::test]
async fn a_policy_that_is_not_understood_is_said_aloud() {
    let folder = Folder::new("policy");
    let policy = folder.join("policy.toml");
    std::fs::write(&policy, "forbid =").unwrap();
    let scene = Scene::with_settings(&format!("policy_file = {policy:?}")).await;
    muster_harness::until("the log and the status say so", async || {
        let (log, (_, status)) = (scene.agent.log(), scene.agent.ask(&["status"]).await);
        let is_said = log.contains("nothing runs on this node until its policy is understood")
            && status.contains("is not understood");
        if is_said { Ok(()) } else { Err(status) }
    })
    .await;
    let (is_well, lines) = scene.agent.ask(&["doctor"]).await;
    assert!(!is_well && lines.contains("FAIL  policy"), "{lines}");
}

#[tokio::test]
async fn a_forbidden_document_runs_by_no_other_name_either() {
    let folder = Folder::new("policy");
    let policy = folder.join("policy.toml");
    std::fs::write(&policy, "").unwrap();
    let scene = Scene::with_settings(&format!("policy_file = {policy:?}")).await;
    let touched = scene.agent.scratch("touched");
    let inner = json!({"schemaVersion": "2.2", "mainSteps": [
        work::step("inner", json!({"runCommand": [format!("echo line >> {}", touched.display())]})),
    ]});
    scene.coordinator.lend(DocumentResult {
        name: "AWS-Inner".into(),
        version: "1".into(),
        content: inner.to_string(),
        format: "JSON".into(),
        document_type: "Command".into(),
        ..DocumentResult::default()
    });
    let call = |path: &str| {
        work::steps(&[json!({"action": "aws:runDocument", "name": "call",
            "inputs": {"documentType": "SSMDocument", "documentPath": path}})])
    };
    // What AWS-RunDocument does: fetch it, then run the file.
    let fetched = work::steps(&[
        json!({"action": "aws:downloadContent", "name": "fetch", "inputs": {
            "sourceType": "SSMDocument", "sourceInfo": {"name": "AWS-Inner"}, "destinationPath": "inner.json"}}),
        json!({"action": "aws:runDocument", "name": "call",
            "inputs": {"documentType": "LocalPath", "documentPath": "inner.json"}}),
    ]);
    let ways = [
        call("AWS-Inner"),
        call("AWS-Inner:1"),
        call("AWS-Inner:$DEFAULT"),
        call("arn:aws:ssm:us-east-1::document/AWS-Inner"),
        call("arn:aws:ssm:us-east-1::document/AWS-Inner:1"),
        fetched,
    ];
    for (forbids, expected) in [(false, RunStatus::Success), (true, RunStatus::Failed)] {
        if forbids {
            std::fs::write(&policy, "forbid_documents = [\"AWS-Inn*\"]").unwrap();
        }
        for way in &ways {
            let mut way = way.clone();
            let again = work::of(&json!({}));
            (way.run_id, way.command_id) = (again.run_id, again.command_id);
            let run = scene.coordinator.send(&way).await;
            let ended = scene.coordinator.end(run).await;
            assert_eq!(ended.status(), expected, "{ended:#?}");
            let trace = &ended.steps()[0].trace;
            assert_eq!(trace.contains("forbids the document \"AWS-Inner\""), forbids, "{trace}");
        }
    }
    let lines = std::fs::read_to_string(touched).unwrap();
    assert_eq!(
        lines.lines().count(),
        ways.len(),
        "each ran once, while nothing was forbidden"
    );
}

#[tokio::test]
async fn users_and_limits_bind_what_actions_start_and_not_scripts_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new("policy");
    let (policy, docker) = (folder.join("policy.toml"), folder.join("docker"));
    std::fs::write(&policy, "").unwrap();
    std::fs::write(&docker, "#!/bin/sh\necho open files $(ulimit -n)\n").unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
    let settings = format!("policy_file = {policy:?}\n[docker]\nprogram = {docker:?}\n[limits]\nopen_files = 77\n");
    let scene = Scene::with_settings(&settings).await;
    let list = || work::steps(&[json!({"action": "aws:runDockerAction", "name": "ps", "inputs": {"action": "Ps"}})]);
    let ended = scene.coordinator.end(scene.coordinator.send(&list()).await).await;
    assert_eq!(ended.step().stdout, "open files 77\n", "{ended:#?}");

    std::fs::write(&policy, "forbid_users = [\"root\"]").unwrap();
    let ended = scene.coordinator.end(scene.coordinator.send(&list()).await).await;
    assert_eq!(ended.status(), RunStatus::Failed);
    assert!(ended.step().trace.contains("forbids running as \"root\""), "{ended:#?}");
    assert_eq!(ended.step().stdout, "");
}

#[tokio::test]
async fn packages_and_updates_are_forbidden_like_everything_else() {
    let folder = Folder::new("policy");
    let policy = folder.join("policy.toml");
    std::fs::write(&policy, "").unwrap();
    let scene = Scene::with_settings(&format!("policy_file = {policy:?}")).await;
    let touched = scene.agent.scratch("touched");
    let before = work::step(
        "before",
        json!({"runCommand": [format!("echo line >> {}", touched.display())]}),
    );
    let document = |step: &serde_json::Value| json!({"schemaVersion": "2.2", "mainSteps": [before, step]});
    for (action, name, inputs) in [
        (
            "aws:configurePackage",
            "AWS-ConfigureAWSPackage",
            json!({"name": "tool", "action": "Install"}),
        ),
        ("aws:updateSsmAgent", "AWS-UpdateSSMAgent", json!({})),
    ] {
        let step = json!({"action": action, "name": "it", "inputs": inputs});
        let mut sent = work::of(&document(&step));
        sent.document_name = name.to_owned();
        let outcome = async || {
            let again = work::of(&json!({}));
            let item = WorkItem {
                run_id: again.run_id,
                command_id: again.command_id,
                ..sent.clone()
            };
            scene.coordinator.end(scene.coordinator.send(&item).await).await
        };

        // By its action: not even the step before it runs.
        std::fs::write(&policy, format!("forbid_actions = [{action:?}]")).unwrap();
        let ended = outcome().await;
        assert_eq!((ended.status(), ended.steps().len()), (RunStatus::Failed, 0));
        let trace = &ended.result.trace;
        assert_eq!(*trace, format!("this node's policy forbids the action {action}"));

        // By its document's name.
        std::fs::write(&policy, format!("forbid_documents = [{name:?}]")).unwrap();
        let ended = outcome().await;
        assert_eq!((ended.status(), ended.steps().len()), (RunStatus::Failed, 0));
        let trace = &ended.result.trace;
        assert_eq!(*trace, format!("this node's policy forbids the document {name:?}"));

        // In a document that another one calls, be it the action or the document.
        scene.coordinator.lend(DocumentResult {
            name: name.to_owned(),
            version: "1".into(),
            content: document(&step).to_string(),
            format: "JSON".into(),
            document_type: "Command".into(),
            files: Vec::new(),
        });
        let call = json!({"action": "aws:runDocument", "name": "call",
            "inputs": {"documentType": "SSMDocument", "documentPath": name}});
        for (forbids, why) in [
            (
                format!("forbid_actions = [{action:?}]"),
                format!("forbids the action {action}"),
            ),
            (
                format!("forbid_documents = [{name:?}]"),
                format!("forbids the document {name:?}"),
            ),
        ] {
            std::fs::write(&policy, forbids).unwrap();
            let run = scene.coordinator.send(&work::steps(std::slice::from_ref(&call))).await;
            let ended = scene.coordinator.end(run).await;
            assert_eq!(ended.status(), RunStatus::Failed);
            assert!(ended.step().trace.contains(&why), "{}", ended.step().trace);
        }
    }
    assert!(!touched.exists(), "half a document is worse than none");
}
