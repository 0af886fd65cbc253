//! The owner of the machine has the last word (agent.md B10).

use muster_harness::Folder;
use muster_proto::agent::v1::RunStatus;
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
