//! Commands on the agents of a `muster up`.

use std::process::Stdio;

use muster_harness::until;
use rustix::process::Signal;
use serde_json::Value;

use crate::processes;
use crate::program::Said;
use crate::world::World;

const WEB: [&str; 3] = ["run", "--targets", "tag:Role=web"];

async fn run(world: &World, words: &[&str]) -> Said {
    world.muster(&[&WEB, words].concat()).await
}

#[tokio::test]
async fn output_comes_back_behind_the_node_s_name_and_the_exit_code_tells() {
    let world = World::start(2).await;

    let said = run(&world, &["--", "echo one; echo two; echo three >&2"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.stdout, "[web-1] one\n[web-1] two\n");
    assert!(
        said.stderr.starts_with("1 node: AWS-RunShellScript, command "),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("[web-1] three\n"), "{}", said.stderr);
    assert!(said.stderr.contains("1 of 1 node succeeded"), "{}", said.stderr);

    let said = run(&world, &["--", "echo", "$HOME", "it's"]).await;
    assert_eq!(
        said.stdout, "[web-1] $HOME it's\n",
        "several words reach the node as they are"
    );

    let said = world
        .muster(&["run", "--targets", "*", "--", "[ $(basename $PWD) = none ] || exit 7"])
        .await;
    assert_eq!(said.code, 1);
    for told in [
        "2 nodes: ",
        "web-1 (mi-",
        "): Failed, exit code 7",
        "0 of 2 nodes succeeded",
    ] {
        assert!(said.stderr.contains(told), "{told} is not in:\n{}", said.stderr);
    }

    let said = world
        .muster(&["run", "--targets", "tag:Role=none", "--", "uptime"])
        .await;
    assert_eq!((said.code, said.stdout.as_str()), (3, ""));
    assert!(
        said.stderr.contains("warning: no node matches tag:Role=none"),
        "{}",
        said.stderr
    );

    let said = run(&world, &["--document", "NoSuchDocument", "--", "x"]).await;
    assert_eq!(said.code, 1);
    assert!(
        said.complaint().starts_with("muster: InvalidDocument: "),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn scripts_get_json_and_commands_can_be_looked_at_afterwards() {
    let world = World::start(1).await;
    let said = run(
        &world,
        &["--json", "--comment", "for the test", "--", "echo hi; exit 3"],
    )
    .await;
    assert_eq!(said.code, 1);
    let value: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(value["Command"]["Status"], "Failed");
    assert_eq!(value["Invocations"][0]["ResponseCode"], 3);
    assert_eq!(value["Invocations"][0]["StandardOutputContent"], "hi\n");
    assert_eq!(value["Invocations"][0]["InstanceName"], "web-1");
    let id = value["Command"]["CommandId"].as_str().unwrap();

    let listed = world.muster(&["commands"]).await;
    assert!(
        listed.stdout.contains(id) && listed.stdout.contains("for the test"),
        "{}",
        listed.stdout
    );
    let none = world.muster(&["commands", "--filter", "Status=Success"]).await;
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "no commands\n"));
    let shown = world.muster(&["commands", "show", id]).await;
    assert!(
        shown.stdout.contains("web-1") && shown.stdout.contains("Failed"),
        "{}",
        shown.stdout
    );
    let output = world.muster(&["commands", "show", id, "--output"]).await;
    assert_eq!(output.stdout, "[web-1] hi\n");
    let again = world.muster(&["commands", "show", id, "--json"]).await;
    assert_eq!(
        serde_json::from_str::<Value>(&again.stdout).unwrap()["Invocations"],
        value["Invocations"]
    );
    let called = world
        .muster(&["call", "ListCommands", &format!("{{\"CommandId\":\"{id}\"}}")])
        .await;
    let called: Value = serde_json::from_str(&called.stdout).unwrap();
    assert_eq!(called["Commands"][0]["CommandId"], id);
}

/// Reads a child's output until a line is there.
async fn read_until(output: &mut (impl tokio::io::AsyncRead + Unpin), text: &mut String, wanted: &str) {
    use tokio::io::AsyncReadExt as _;
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let read = output.read(&mut buffer);
        let read = tokio::time::timeout(std::time::Duration::from_secs(20), read).await;
        let read = read
            .unwrap_or_else(|_| panic!("{wanted} did not come: {text}"))
            .unwrap();
        assert!(read > 0, "the end came before {wanted}: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

#[tokio::test]
async fn followed_output_comes_while_the_script_runs_and_ends_with_the_summary() {
    let world = World::start(2).await;
    let gate = world.data().join("gate");
    let line = format!(
        "echo begun; while [ ! -e {} ]; do sleep 0.05; done; echo wörld; echo bad >&2; printf open",
        gate.display()
    );
    let mut child = world
        .verb(&["run", "--targets", "*", "--follow", "--", &line])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    let mut stdout = child.stdout.take().unwrap();
    for name in ["[web-1] begun\n", "[db-1] begun\n"] {
        read_until(&mut stdout, &mut text, name).await;
    }
    let listed = world.muster(&["commands", "--json"]).await.stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = listed["Commands"][0]["CommandId"].as_str().unwrap().to_owned();
    let mut late = world
        .verb(&["commands", "follow", &id])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut late_text, mut late_stdout) = (String::new(), late.stdout.take().unwrap());
    read_until(&mut late_stdout, &mut late_text, "[web-1] begun\n").await;
    std::fs::write(&gate, "").unwrap();
    for (mut stdout, mut text, child) in [(stdout, text, child), (late_stdout, late_text, late)] {
        for wanted in ["[web-1] wörld\n", "[web-1] open\n", "[db-1] open\n"] {
            read_until(&mut stdout, &mut text, wanted).await;
        }
        assert_eq!(text.matches("begun").count(), 2, "{text}");
        let said = Said::of(&child.wait_with_output().await.unwrap());
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.stderr.contains("[web-1] bad\n"), "{}", said.stderr);
        assert!(said.stderr.contains("2 of 2 nodes succeeded"), "{}", said.stderr);
    }
    let after = world.muster(&["commands", "follow", &id]).await;
    assert_eq!((after.code, after.stdout.matches("begun").count()), (0, 2), "{after:?}");
    let none = world
        .muster(&["commands", "follow", "00000000-0000-4000-8000-000000000000"])
        .await;
    assert!(none.complaint().starts_with("muster: InvalidCommandId: "), "{none:?}");
}

#[tokio::test]
async fn ctrl_c_cancels_the_command_and_says_so() {
    let world = World::start(1).await;
    let started = world.data().join("started");
    let line = format!("touch {}; sleep 120", started.display());
    let mut child = world
        .verb(&[&WEB[..], &["--", &line]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the script runs", async || {
        if started.exists() { Ok(()) } else { Err("not yet") }
    })
    .await;
    processes::send(child.id().unwrap(), Signal::INT);
    let status = until("it has ended", async || child.try_wait().unwrap().ok_or("it runs")).await;
    assert_eq!(status.code(), Some(4));
    let said = Said::of(&child.wait_with_output().await.unwrap());
    assert!(said.stderr.contains("cancelling"), "{}", said.stderr);
    assert!(said.stderr.contains("the command is Cancelled"), "{}", said.stderr);
}

#[tokio::test]
async fn a_second_ctrl_c_leaves_the_command_to_itself() {
    let world = World::start(1).await;
    let started = world.data().join("started");
    // A script that does not want to end, so that the cancel is still under way.
    let line = format!(
        "trap '' TERM; touch {}; sleep 120 & wait; wait; wait",
        started.display()
    );
    let mut child = world
        .verb(&[&WEB[..], &["--", &line]].concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the script runs", async || {
        if started.exists() { Ok(()) } else { Err("not yet") }
    })
    .await;
    let process = child.id().unwrap();
    processes::send(process, Signal::INT);
    until("the server knows of the cancel", async || {
        let listed = world.muster(&["commands"]).await.stdout;
        if listed.contains("Cancel") { Ok(()) } else { Err(listed) }
    })
    .await;
    processes::send(process, Signal::INT);
    let status = until("it has ended", async || child.try_wait().unwrap().ok_or("it runs")).await;
    assert_eq!(status.code(), Some(4));
}

#[tokio::test]
async fn documents_are_made_changed_run_and_deleted() {
    let world = World::start(1).await;
    let file = world.data().join("greet.yaml");
    let text = |word: &str| {
        format!(
            "schemaVersion: '2.2'\ndescription: greets\nparameters:\n  who: {{type: String, default: you}}\n\
             mainSteps:\n- action: aws:runShellScript\n  name: greet\n  inputs:\n    runCommand: ['echo {word} {{{{who}}}}']\n"
        )
    };
    std::fs::write(&file, text("hello")).unwrap();
    let path = file.to_str().unwrap();
    let judged = world.muster(&["documents", "validate", path]).await;
    assert_eq!(
        (judged.code, judged.stderr.as_str()),
        (0, "the document is acceptable\n")
    );
    let wrong = world.data().join("wrong.yaml");
    std::fs::write(&wrong, text("x").replace("aws:runShellScript", "aws:runShell")).unwrap();
    let judged = world.muster(&["documents", "validate", wrong.to_str().unwrap()]).await;
    assert_eq!(judged.code, 1);
    assert!(
        judged.stdout.starts_with("error /mainSteps/0/action: "),
        "{}",
        judged.stdout
    );
    assert!(
        judged.complaint().contains("InvalidDocumentContent"),
        "{}",
        judged.stderr
    );
    let made = world.muster(&["documents", "create", "Greet", "--file", path]).await;
    assert_eq!((made.code, made.stderr.as_str()), (0, "Greet version 1\n"));
    let said = run(&world, &["--document", "Greet", "--parameters", "who=world"]).await;
    assert_eq!(said.stdout, "[web-1] hello world\n", "{}", said.stderr);

    std::fs::write(&file, text("goodbye")).unwrap();
    let changed = world
        .muster(&["documents", "update", "Greet", "--file", path, "--set-default"])
        .await;
    assert_eq!((changed.code, changed.stderr.as_str()), (0, "Greet version 2\n"));
    let said = run(&world, &["--document", "Greet"]).await;
    assert_eq!(said.stdout, "[web-1] goodbye you\n", "{}", said.stderr);

    let listed = world.muster(&["documents", "--filter", "Owner=Self"]).await;
    assert!(listed.stdout.contains("Greet"), "{}", listed.stdout);
    let got = world.muster(&["documents", "get", "Greet", "--version", "1"]).await;
    assert_eq!(got.stdout, text("hello"));
    assert_eq!(world.muster(&["documents", "delete", "Greet"]).await.code, 0);
    let gone = world.muster(&["documents", "get", "Greet"]).await;
    assert_eq!(gone.code, 1);
    assert!(
        gone.complaint().starts_with("muster: InvalidDocument: "),
        "{}",
        gone.stderr
    );
}

#[tokio::test]
async fn tags_decide_who_is_meant() {
    let world = World::start(1).await;
    let node = world.ready["nodes"][0].as_str().unwrap();
    assert_eq!(world.muster(&["nodes", "tag", node, "Ring=first"]).await.code, 0);
    let shown = world.muster(&["nodes", "show", node]).await;
    assert!(shown.stdout.contains("tag:Ring"), "{}", shown.stdout);
    let said = world
        .muster(&["run", "--targets", "tag:Ring=first", "--", "echo yes"])
        .await;
    assert_eq!(said.stdout, "[web-1] yes\n", "{}", said.stderr);
    assert_eq!(world.muster(&["nodes", "untag", node, "Ring"]).await.code, 0);
    let said = world
        .muster(&["run", "--targets", "tag:Ring=first", "--", "echo yes"])
        .await;
    assert_eq!(said.code, 3);
}
