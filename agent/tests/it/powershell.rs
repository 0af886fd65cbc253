//! `aws:runPowerShellScript` with a PowerShell that is played by a script.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use muster_harness::Folder;
use muster_proto::agent::v1::{RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::coordinator::Ended;
use crate::{Scene, work};

/// Says how it was called, and what is in the file that it was given.
const PWSH: &str = "#!/bin/sh
for word in \"$@\"; do last=$word; done
echo \"$# $1 $2 $3 $4\"
head -c 3 \"$last\" | od -An -tx1
cat \"$last\"
echo \"[$HOME] [$TERM] [$SSM_COMMAND_ID] [$MINE] [$AGENT_SECRET]\"
exit 3
";

async fn run(scene: &Scene, inputs: Value) -> Ended {
    let document = json!({"schemaVersion": "2.2", "mainSteps": [
        {"action": "aws:runPowerShellScript", "name": "ps", "inputs": inputs}]});
    scene
        .coordinator
        .end(scene.coordinator.send(&work::of(&document)).await)
        .await
}

#[tokio::test]
async fn powershell_reads_a_file_without_asking_anybody_anything() {
    let folder = Folder::new("pwsh");
    let program = folder.join("pwsh");
    fs::write(&program, PWSH).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let scene = Scene::with_settings(&format!("powershell = {program:?}")).await;
    let inputs = json!({"runCommand": ["Write-Output 'ä'", "exit 3"], "environment": {"MINE": "1"}});
    let ended = run(&scene, inputs).await;
    assert_eq!(
        (ended.step().status(), ended.step().code),
        (StepStatus::Failed, 3),
        "{ended:#?}"
    );
    let lines: Vec<&str> = ended.step().stdout.lines().collect();
    assert_eq!(lines[0], "5 -NoLogo -NoProfile -NonInteractive -File");
    assert_eq!(
        lines[1].trim(),
        "57 72 69",
        "the file begins with its text, not with a mark"
    );
    assert!(
        ended.step().stdout.contains("\nWrite-Output 'ä'\nexit 3\n"),
        "{lines:?}"
    );
    let facts = lines.last().unwrap();
    assert!(facts.contains("] [] [") && facts.ends_with("[1] []"), "{facts}");
    assert!(!facts.starts_with("[] "), "a home: {facts}");
}

#[tokio::test]
async fn where_there_is_no_powershell_the_step_says_what_to_do() {
    let scene = Scene::with_settings("powershell = \"no-such-pwsh\"").await;
    let ended = run(&scene, json!({"runCommand": ["Get-Date"]})).await;
    assert_eq!(
        (ended.status(), ended.step().code),
        (RunStatus::Failed, -1),
        "{ended:#?}"
    );
    assert!(
        ended
            .step()
            .trace
            .contains("there is no program \"no-such-pwsh\"; install it, or name it with powershell"),
        "{}",
        ended.step().trace
    );
}
