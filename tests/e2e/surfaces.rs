//! The same command through every surface: NATS, gRPC with nothing but reflection, and the `muster` command line.

use std::path::Path;

use muster_tests::{AgentSpec, Cluster, binary, python};
use serde_json::Value;
use tokio::process::Command;

async fn script(name: &str, words: &[&str]) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name);
    let output = Command::new(python()).arg(&path).args(words).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{name}: {error}: {stderr}"))
}

#[tokio::test]
async fn a_command_is_published_to_nats_by_a_plain_client() {
    let cluster = Cluster::start(&[AgentSpec::tagged(&[("Role", "web")])]).await;
    let answer = script(
        "nats_client.py",
        &[
            &cluster.nats.url(),
            &cluster.creds().display().to_string(),
            "tag:Role",
            "web",
            "echo over nats",
        ],
    )
    .await;
    assert_eq!(answer["Status"], "Success");
    assert_eq!(answer["Output"], "over nats\n");
    assert_eq!(answer["Live"], "over nats\n");
}

#[tokio::test]
async fn a_client_that_knows_only_reflection_runs_a_command() {
    let cluster = Cluster::start(&[AgentSpec::tagged(&[("Role", "web")])]).await;
    let address = cluster.address("muster-run-command");
    let answer = script("reflection_client.py", &[&address, "tag:Role", "web", "echo over grpc"]).await;
    assert_eq!(answer["Status"], "Success");
    assert_eq!(answer["Output"], "over grpc\n");
    assert_eq!(answer["Live"], "over grpc\n");
    assert_eq!(answer["Health"], "SERVING");
}

#[tokio::test]
async fn the_command_line_shows_output_and_summary_and_exits_by_result() {
    let agents = [
        AgentSpec::tagged(&[("Role", "web")]),
        AgentSpec::tagged(&[("Role", "web")]),
    ];
    let cluster = Cluster::start(&agents).await;
    let muster = async |words: &[&str]| {
        let output = Command::new(binary("muster"))
            .env("MUSTER_SERVER", cluster.nats.url())
            .env("MUSTER_CREDS", cluster.creds())
            .args(words)
            .output()
            .await
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let run = [
        "run",
        "--targets",
        "tag:Role=web",
        "--max-concurrency",
        "10",
        "--max-errors",
        "1",
        "--",
    ];
    let good: Vec<_> = run.iter().copied().chain(["echo", "from", "everywhere"]).collect();
    let (code, stdout, stderr) = muster(&good).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout.matches("from everywhere").count(), 2, "{stdout}");
    let bad: Vec<_> = run.iter().copied().chain(["exit 3"]).collect();
    let (code, _, stderr) = muster(&bad).await;
    assert_eq!(code, Some(1), "{stderr}");
    let (code, stdout, stderr) = muster(&["nodes", "--json"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(serde_json::from_str::<Value>(&stdout).is_ok(), "{stdout}");
    let (code, stdout, stderr) = muster(&["call", "RunCommand.ListCommands", r#"{"MaxResults": 1}"#]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let listed: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(listed["Commands"].as_array().unwrap().len(), 1);
}

/// Item 15 of run-command 11; and what was not given is shown as AWS shows it (run-command 2.4).
#[tokio::test]
async fn boto3_s_own_waiter_finds_the_end_of_a_fresh_command() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    let answer = script(
        "boto3_waiter.py",
        &[&cluster.gateway(), &node, "sleep 1; echo waited for"],
    )
    .await;
    assert_eq!(answer["Status"], "Success");
    assert_eq!(answer["Output"], "waited for\n");
    let nothing = serde_json::json!({"NotificationArn": "", "NotificationEvents": [], "NotificationType": ""});
    assert_eq!(answer["NotificationConfig"], nothing);
}
