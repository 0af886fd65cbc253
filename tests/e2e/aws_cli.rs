//! The deck's own commands with the real `aws` command line.

use muster_tests::{AgentSpec, Cluster};
use serde_json::json;

const WEB: &[(&str, &str)] = &[("ServerRole", "WebFrontEnd")];

#[tokio::test]
async fn the_decks_commands_work_unchanged() {
    let agents = [AgentSpec::tagged(WEB), AgentSpec::tagged(&[("ServerRole", "Database")])];
    let cluster = Cluster::start(&agents).await;
    let aws = cluster.aws();
    let nodes = cluster.nodes().await;

    let information = aws.ok(&["describe-instance-information"]).await;
    let list = information["InstanceInformationList"].as_array().unwrap();
    assert_eq!(list.len(), 2);
    for node in list {
        assert_eq!(
            (&node["PingStatus"], &node["PlatformType"]),
            (&json!("Online"), &json!("Linux")),
            "{node}"
        );
        assert!(
            node["AgentVersion"].is_string() && node["LastPingDateTime"].is_number(),
            "{node}"
        );
    }

    let made = cluster.folder().join("made-by-the-script");
    let script = format!("commands=mkdir {}", made.display());
    let sent = aws
        .ok(&[
            "send-command",
            "--document-name",
            "AWS-RunShellScript",
            "--targets",
            "Key=tag:ServerRole,Values=WebFrontEnd",
            "--parameters",
            &script,
            "--max-concurrency",
            "10",
            "--max-errors",
            "10",
        ])
        .await;
    let command = &sent["Command"];
    assert_eq!(
        (&command["Status"], &command["TargetCount"]),
        (&json!("Pending"), &json!(1))
    );
    assert_eq!(
        (&command["MaxConcurrency"], &command["InstanceIds"]),
        (&json!("10"), &json!([]))
    );
    let id = command["CommandId"].as_str().unwrap();

    aws.ok(&[
        "wait",
        "command-executed",
        "--command-id",
        id,
        "--instance-id",
        &nodes[0],
    ])
    .await;
    assert!(made.is_dir());
    let listed = aws
        .ok(&["list-command-invocations", "--command-id", id, "--details"])
        .await;
    let invocation = &listed["CommandInvocations"][0];
    assert_eq!(invocation["InstanceId"], json!(nodes[0]));
    assert_eq!(invocation["StatusDetails"], json!("Success"));
    assert_eq!(invocation["CommandPlugins"][0]["Name"], json!("aws:runShellScript"));
    let got = aws
        .ok(&["get-command-invocation", "--command-id", id, "--instance-id", &nodes[0]])
        .await;
    assert_eq!((&got["Status"], &got["ResponseCode"]), (&json!("Success"), &json!(0)));

    // Ended already: a cancel succeeds and changes nothing.
    aws.ok(&["cancel-command", "--command-id", id]).await;
    let commands = aws.ok(&["list-commands", "--command-id", id]).await;
    assert_eq!(commands["Commands"][0]["Status"], json!("Success"));
}

#[tokio::test]
async fn a_document_lives_from_create_to_delete() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let (aws, node) = (cluster.aws(), cluster.nodes().await.remove(0));
    let content = json!({
        "schemaVersion": "2.2",
        "description": "greets",
        "parameters": {"who": {"type": "String", "default": "world", "allowedPattern": "^[a-z]+$"}},
        "mainSteps": [
            {"action": "aws:runShellScript", "name": "greet", "inputs": {"runCommand": ["echo hello {{ who }}"]}}
        ]
    });
    let text = content.to_string();
    let create = [
        "create-document",
        "--name",
        "Greet",
        "--document-type",
        "Command",
        "--content",
        &text,
    ];
    let created = aws.ok(&create).await;
    assert_eq!(created["DocumentDescription"]["DocumentVersion"], json!("1"));
    aws.refused("DocumentAlreadyExists", &create).await;
    let described = aws.ok(&["describe-document", "--name", "Greet"]).await;
    assert_eq!(described["Document"]["Status"], json!("Active"));
    assert_eq!(described["Document"]["Parameters"][0]["DefaultValue"], json!("world"));

    let update = [
        "update-document",
        "--name",
        "Greet",
        "--document-version",
        "$LATEST",
        "--content",
    ];
    let duplicate: Vec<_> = update.iter().copied().chain([text.as_str()]).collect();
    aws.refused("DuplicateDocumentContent", &duplicate).await;
    let second = text.replace("hello", "good evening");
    let updated: Vec<_> = update.iter().copied().chain([second.as_str()]).collect();
    aws.ok(&updated).await;
    aws.ok(&[
        "update-document-default-version",
        "--name",
        "Greet",
        "--document-version",
        "2",
    ])
    .await;
    let got = aws
        .ok(&["get-document", "--name", "Greet", "--document-format", "YAML"])
        .await;
    assert!(
        got["Content"].as_str().unwrap().contains("schemaVersion: '2.2'")
            || got["Content"].as_str().unwrap().contains("schemaVersion: \"2.2\"")
    );
    let mine = aws.ok(&["list-documents", "--filters", "Key=Owner,Values=Self"]).await;
    assert_eq!(mine["DocumentIdentifiers"][0]["Name"], "Greet");
    let versions = aws.ok(&["list-document-versions", "--name", "Greet"]).await;
    assert_eq!(versions["DocumentVersions"].as_array().unwrap().len(), 2);

    let sent = aws
        .ok(&[
            "send-command",
            "--document-name",
            "Greet",
            "--instance-ids",
            &node,
            "--parameters",
            "who=moon",
        ])
        .await;
    let id = sent["Command"]["CommandId"].as_str().unwrap();
    aws.ok(&["wait", "command-executed", "--command-id", id, "--instance-id", &node])
        .await;
    let got = aws
        .ok(&["get-command-invocation", "--command-id", id, "--instance-id", &node])
        .await;
    assert_eq!(got["StandardOutputContent"], json!("good evening moon\n"));
    assert_eq!(got["PluginName"], json!("greet"));

    let tag = ["--resource-type", "Document", "--resource-id", "Greet"];
    let add: Vec<_> = ["add-tags-to-resource"]
        .into_iter()
        .chain(tag)
        .chain(["--tags", "Key=Team,Value=ops"])
        .collect();
    aws.ok(&add).await;
    let list: Vec<_> = ["list-tags-for-resource"].into_iter().chain(tag).collect();
    assert_eq!(aws.ok(&list).await["TagList"], json!([{"Key": "Team", "Value": "ops"}]));

    aws.ok(&["delete-document", "--name", "Greet"]).await;
    aws.refused("InvalidDocument", &["describe-document", "--name", "Greet"])
        .await;
}

#[tokio::test]
async fn cancel_ends_a_running_script_and_its_children() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let (aws, node) = (cluster.aws(), cluster.nodes().await.remove(0));
    let pid_file = cluster.folder().join("pid");
    let script = json!({"commands": [format!("sleep 1200 & echo $! > {}", pid_file.display()), "wait"]}).to_string();
    let sent = aws
        .ok(&[
            "send-command",
            "--document-name",
            "AWS-RunShellScript",
            "--instance-ids",
            &node,
            "--parameters",
            &script,
        ])
        .await;
    let id = sent["Command"]["CommandId"].as_str().unwrap();
    let pid = muster_harness::until("the script runs", async || {
        std::fs::read_to_string(&pid_file)
            .ok()
            .and_then(|text| text.trim().parse::<u32>().ok())
            .ok_or("no pid yet")
    })
    .await;
    aws.ok(&["cancel-command", "--command-id", id]).await;
    let ended = cluster.api().await.ended(id).await;
    assert_eq!(ended.status_details.as_deref(), Some("Cancelled"));
    muster_harness::until("the child is gone", async || {
        match std::path::Path::new(&format!("/proc/{pid}")).exists() {
            true => Err("alive"),
            false => Ok(()),
        }
    })
    .await;
}
