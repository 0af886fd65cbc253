//! The acceptance list of Run Command (run-command 11), with real agents where it says so.

use std::time::Duration;

use muster_harness::until;
use muster_proto::documents::v1::{CreateDocumentRequest, DocumentFormat};
use muster_proto::runcommand::v1::{
    CommandInvocation, CommandStatus, ListCommandInvocationsRequest, ListCommandsRequest, SendCommandRequest,
};
use muster_tests::{AgentSpec, Api, Cluster};

async fn one_agent() -> (Cluster, Api, String) {
    let cluster = Cluster::start(&[AgentSpec::tagged(&[("Role", "web")])]).await;
    let node = cluster.nodes().await.remove(0);
    let api = cluster.api().await;
    (cluster, api, node)
}

fn with_timeout(mut request: SendCommandRequest, seconds: &str) -> SendCommandRequest {
    let values = muster_proto::aws::v1::ParameterValueList {
        items: vec![seconds.to_owned()],
    };
    request.parameters.insert("executionTimeout".to_owned(), values);
    request
}

/// Item 1.
#[tokio::test]
async fn a_failing_script_shows_its_code_and_both_outputs() {
    let (_cluster, mut api, node) = one_agent().await;
    let id = api
        .start(Api::script(&[&node], &["echo a", "echo b >&2", "exit 7"]))
        .await;
    let command = api.ended(&id).await;
    assert_eq!(
        (command.status(), command.error_count),
        (CommandStatus::Failed, Some(1))
    );
    let got = api.invocation(&id, &node).await.unwrap();
    assert_eq!(got.response_code, Some(7));
    assert_eq!(got.standard_output_content.as_deref(), Some("a\n"));
    let stderr = got.standard_error_content.unwrap();
    assert!(
        stderr.starts_with("b\n") && stderr.contains("exit status 7"),
        "{stderr}"
    );
    assert!(got.execution_elapsed_time.unwrap().starts_with("PT"));
}

/// Item 2.
#[tokio::test]
async fn a_script_that_runs_too_long_is_ended_with_its_children() {
    let (cluster, mut api, node) = one_agent().await;
    let pid = cluster.folder().join("pid");
    let lines = [&format!("echo $$ > {}", pid.display()), "sleep 20", "echo late"];
    let request = with_timeout(Api::script(&[&node], &lines), "5");
    let id = api.start(request).await;
    let command = api.ended(&id).await;
    assert_eq!(command.status_details.as_deref(), Some("ExecutionTimedOut"));
    assert_eq!(command.status(), CommandStatus::TimedOut);
    let got = api.invocation(&id, &node).await.unwrap();
    assert!(!got.standard_output_content.unwrap().contains("late"));
    assert_eq!(got.response_code, Some(137));
    let pid = std::fs::read_to_string(pid).unwrap();
    until("nothing of the script is left", async || {
        match std::path::Path::new(&format!("/proc/{}", pid.trim())).exists() {
            true => Err("alive"),
            false => Ok(()),
        }
    })
    .await;
}

/// Item 3.
#[tokio::test]
async fn a_node_that_comes_back_too_late_never_runs_the_script() {
    let (mut cluster, mut api, node) = one_agent().await;
    cluster.kill_agent(0);
    let trace = cluster.folder().join("ran");
    let touch = format!("touch {}", trace.display());
    let mut request = with_timeout(Api::script(&[&node], &[&touch]), "5");
    request.timeout_seconds = Some(30);
    let id = api.start(request).await;
    until("the node is seen to be away", async || {
        let invocation = api.invocations(&id).await.remove(0);
        match invocation.status_details.as_deref() {
            Some("Delayed") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let command = api.ended(&id).await;
    assert_eq!(command.status_details.as_deref(), Some("DeliveryTimedOut"));
    assert_eq!(command.delivery_timed_out_count, Some(1));
    // The step shares the fate of its invocation, and the reason stands where a reader looks first.
    let step = api.invocations(&id).await.remove(0).command_plugins.remove(0);
    assert_eq!(
        (step.status_details.as_deref(), step.response_code),
        (Some("DeliveryTimedOut"), Some(-1))
    );
    let got = api.invocation(&id, &node).await.unwrap();
    assert_eq!(got.plugin_name.as_deref(), Some("aws:runShellScript"));
    let why = got.standard_error_content.unwrap();
    assert!(why.contains("no final report came before the deadline"), "{why}");
    cluster.restart_agent(0);
    // Once the node has done later work, it would have done the earlier.
    let later = api.start(Api::script(&[&node], &["true"])).await;
    assert_eq!(api.ended(&later).await.status(), CommandStatus::Success);
    assert!(!trace.exists());
}

/// Item 4.
#[tokio::test]
async fn a_restart_of_every_service_while_a_script_sleeps_loses_nothing() {
    let (mut cluster, mut api, node) = one_agent().await;
    let (runs, gate) = (cluster.folder().join("runs"), cluster.folder().join("gate"));
    let lines = [
        format!("echo once >> {}", runs.display()),
        format!("while [ ! -e {} ]; do sleep 0.05; done", gate.display()),
        "echo whole output".to_owned(),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let id = api.start(Api::script(&[&node], &lines)).await;
    until("the script runs", async || {
        std::fs::metadata(&runs).map_err(|error| error.to_string())
    })
    .await;
    for name in muster_tests::SERVICES {
        cluster.kill(name);
    }
    std::fs::write(&gate, "open").unwrap();
    for name in muster_tests::SERVICES {
        cluster.restart(name).await;
    }
    let command = api.ended(&id).await;
    assert_eq!(command.status(), CommandStatus::Success);
    let got = api.invocation(&id, &node).await.unwrap();
    assert_eq!(got.standard_output_content.as_deref(), Some("whole output\n"));
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "once\n");
}

/// Item 5.
#[tokio::test]
async fn a_killed_agent_finds_its_script_again() {
    let (mut cluster, mut api, node) = one_agent().await;
    let (runs, gate) = (cluster.folder().join("runs"), cluster.folder().join("gate"));
    let lines = [
        format!("echo once >> {}", runs.display()),
        format!("while [ ! -e {} ]; do sleep 0.05; done", gate.display()),
        "echo done".to_owned(),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let id = api.start(Api::script(&[&node], &lines)).await;
    until("the script runs", async || {
        std::fs::metadata(&runs).map_err(|error| error.to_string())
    })
    .await;
    cluster.kill_agent(0);
    cluster.restart_agent(0);
    std::fs::write(&gate, "open").unwrap();
    assert_eq!(api.ended(&id).await.status(), CommandStatus::Success);
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "once\n");
}

/// Item 6.
#[tokio::test]
async fn a_cancel_ends_a_running_script_with_its_children() {
    let (cluster, mut api, node) = one_agent().await;
    let pid = cluster.folder().join("pid");
    // It takes a moment to die, so that what is in between can be seen.
    let line = format!(
        "trap 'sleep 1; exit 0' TERM; echo $$ > {}; sleep 120 & wait",
        pid.display()
    );
    let id = api.start(Api::script(&[&node], &[&line])).await;
    let group = until("the script runs", async || {
        let text = std::fs::read_to_string(&pid).map_err(|error| error.to_string())?;
        text.trim().parse::<u32>().map_err(|error| error.to_string())
    })
    .await;
    let cancel = muster_proto::runcommand::v1::CancelCommandRequest {
        command_id: Some(id.clone()),
        ..Default::default()
    };
    api.commands.cancel_command(cancel.clone()).await.unwrap();
    assert_eq!(api.command(&id).await.unwrap().status(), CommandStatus::Cancelling);
    let command = api.ended(&id).await;
    assert_eq!(command.status_details.as_deref(), Some("Cancelled"));
    assert!(!std::path::Path::new(&format!("/proc/{group}")).exists());
    // Harmless on what is over.
    api.commands.cancel_command(cancel).await.unwrap();
    assert_eq!(api.command(&id).await.unwrap(), command);
    cluster.verify(&id);
}

/// Item 8.
#[tokio::test]
async fn one_unknown_id_of_fifty_is_named_and_nothing_is_sent_to_the_others() {
    let cluster = Cluster::start(&[]).await;
    let fleet = muster_agent_sim::Fleet::start(muster_agent_sim::FleetSettings {
        nats_url: cluster.nats.url(),
        credentials: Some(cluster.crowd()),
        nodes: 49,
        connections: 2,
        name: "fifty".to_owned(),
        tags: std::collections::BTreeMap::new(),
        script: muster_agent_sim::Script::always(muster_agent_sim::Outcome::NOTHING),
    })
    .await
    .unwrap();
    let mut api = cluster.api().await;
    let known: Vec<String> = fleet.ids().iter().map(ToString::to_string).collect();
    let mut nodes: Vec<_> = known.iter().map(String::as_str).collect();
    nodes.insert(20, "mi-00000000000000bad");
    let refused = api.send(Api::script(&nodes, &["true"])).await.unwrap_err();
    assert!(refused.message().contains("mi-00000000000000bad"), "{refused}");
    // Whoever has done later work would have done earlier work.
    let id = api.start(Api::script(&nodes[..1], &["true"])).await;
    api.ended(&id).await;
    assert_eq!(fleet.executions().len(), 1);
    fleet.stop().await;
}

/// Item 7.
#[tokio::test]
async fn a_tag_without_nodes_is_a_success_that_says_so() {
    let (_cluster, mut api, _) = one_agent().await;
    let sent = api
        .send(Api::script_for_tag("Role", "nobody", &["true"]))
        .await
        .unwrap();
    assert_eq!((sent.target_count, sent.status()), (Some(0), CommandStatus::Pending));
    let id = sent.command_id.unwrap();
    let command = api.ended(&id).await;
    assert_eq!(command.status(), CommandStatus::Success);
    assert_eq!(command.status_details.as_deref(), Some("NoInstancesInTag"));
    assert!(api.invocations(&id).await.is_empty());
}

/// Item 9.
#[tokio::test]
async fn the_second_step_runs_after_a_failed_first() {
    let (_cluster, mut api, node) = one_agent().await;
    let content = "
schemaVersion: '2.2'
description: two steps
mainSteps:
  - action: aws:runShellScript
    name: first
    inputs:
      runCommand: ['echo one', 'exit 3']
  - action: aws:runShellScript
    name: second
    inputs:
      runCommand: ['echo two']
";
    let create = CreateDocumentRequest {
        name: Some("TwoSteps".to_owned()),
        content: Some(content.to_owned()),
        document_format: Some(DocumentFormat::Yaml.into()),
        document_type: Some(muster_proto::documents::v1::DocumentType::Command.into()),
        ..CreateDocumentRequest::default()
    };
    api.documents.create_document(create).await.unwrap();
    let request = SendCommandRequest {
        document_name: Some("TwoSteps".to_owned()),
        instance_ids: vec![node.clone()],
        ..SendCommandRequest::default()
    };
    let id = api.start(request).await;
    assert_eq!(api.ended(&id).await.status(), CommandStatus::Failed);
    let invocation = api.invocations(&id).await.remove(0);
    let steps: Vec<_> = invocation
        .command_plugins
        .iter()
        .map(|step| {
            (
                step.name.as_deref().unwrap(),
                step.response_code.unwrap(),
                step.status_details.as_deref().unwrap(),
            )
        })
        .collect();
    assert_eq!(steps, [("first", 3, "Failed"), ("second", 0, "Success")]);
    let got = api.invocation(&id, &node).await.unwrap();
    assert_eq!(got.standard_output_content.as_deref(), Some("one\ntwo\n"));
    assert_eq!(got.response_code, Some(3));
}

/// Item 13.
#[tokio::test]
async fn paging_visits_every_command_once_while_new_ones_arrive() {
    let (_cluster, mut api, node) = one_agent().await;
    let mut expected = Vec::new();
    for _ in 0..4 {
        expected.push(api.start(Api::script(&[&node], &["true"])).await);
    }
    let plain = ListCommandInvocationsRequest {
        command_id: Some(expected[0].clone()),
        ..ListCommandInvocationsRequest::default()
    };
    api.ended(&expected[0]).await;
    let without = api.commands.list_command_invocations(plain).await.unwrap().into_inner();
    let plugins = |invocation: &CommandInvocation| invocation.command_plugins.len();
    assert_eq!(without.command_invocations.iter().map(plugins).collect::<Vec<_>>(), [0]);
    assert_eq!(
        api.invocations(&expected[0])
            .await
            .iter()
            .map(plugins)
            .collect::<Vec<_>>(),
        [1]
    );

    let mut seen = Vec::new();
    let mut next_token = None;
    loop {
        let request = ListCommandsRequest {
            max_results: Some(1),
            next_token,
            ..ListCommandsRequest::default()
        };
        let page = api.commands.list_commands(request).await.unwrap().into_inner();
        seen.extend(page.commands.into_iter().filter_map(|command| command.command_id));
        api.start(Api::script(&[&node], &["true"])).await;
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

/// Concurrency 1 is honoured by real agents, and the order is that of the ids.
#[tokio::test]
async fn max_concurrency_one_runs_one_after_the_other_and_an_error_stops_the_rest() {
    let cluster = Cluster::start(&[AgentSpec::default(), AgentSpec::default(), AgentSpec::default()]).await;
    let mut api = cluster.api().await;
    let nodes = cluster.nodes().await;
    let log = cluster.folder().join("order");
    let line = format!(
        "echo $MUSTER_NODE_ID >> {}; test $MUSTER_NODE_ID != {}",
        log.display(),
        nodes[1]
    );
    let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
    let mut request = Api::script(&nodes, &[&line]);
    request.max_concurrency = Some("1".to_owned());
    let id = api.start(request).await;
    let command = api.ended(&id).await;
    assert_eq!(command.status_details.as_deref(), Some("Failed"));
    let order = std::fs::read_to_string(&log).unwrap();
    assert_eq!(order.lines().collect::<Vec<_>>(), nodes[..2]);
    let invocations = api.invocations(&id).await;
    let third = invocations
        .iter()
        .find(|each| each.instance_id.as_deref() == Some(nodes[2]))
        .unwrap();
    assert_eq!(third.status_details.as_deref(), Some("Terminated"));
}

/// A network cut during the run: the result arrives when the bus is back (agent D 5).
#[tokio::test]
async fn a_result_survives_an_absent_bus() {
    let (mut cluster, mut api, node) = one_agent().await;
    let (ran, gate) = (cluster.folder().join("ran"), cluster.folder().join("gate"));
    let lines = [
        format!("touch {}", ran.display()),
        format!(
            "while [ ! -e {} ]; do sleep 0.05; done; rm {}",
            gate.display(),
            gate.display()
        ),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let id = api.start(Api::script(&[&node], &lines)).await;
    until("the script runs", async || {
        std::fs::metadata(&ran).map_err(|error| error.to_string())
    })
    .await;
    cluster.nats.kill();
    std::fs::write(&gate, "open").unwrap();
    until(
        "the script has ended",
        async || if gate.exists() { Err("runs") } else { Ok(()) },
    )
    .await;
    cluster.nats.restart().await;
    let command = api.ended_within(&id, Duration::from_secs(30)).await;
    assert_eq!(command.status(), CommandStatus::Success);
}

/// A node that is put out takes its pending work along (fleet 5).
#[tokio::test]
async fn a_deregistered_node_ends_its_pending_invocations() {
    let (mut cluster, mut api, node) = one_agent().await;
    cluster.kill_agent(0);
    let id = api.start(Api::script(&[&node], &["true"])).await;
    until("the node is seen to be away", async || {
        let invocation = api.invocations(&id).await.remove(0);
        match invocation.status_details.as_deref() {
            Some("Delayed") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let request = muster_proto::fleet::v1::DeregisterManagedInstanceRequest {
        instance_id: Some(node.clone()),
    };
    api.fleet.deregister_managed_instance(request).await.unwrap();
    let command = api.ended(&id).await;
    assert_eq!(command.completed_count, Some(1));
    let invocation = api.invocations(&id).await.remove(0);
    assert_eq!(invocation.status_details.as_deref(), Some("Cancelled"));
    cluster.verify(&id);
}

/// The news of it may get lost.
#[tokio::test]
async fn a_node_that_was_put_out_while_nobody_listened_ends_its_pending_invocations() {
    let (mut cluster, mut api, node) = one_agent().await;
    cluster.kill_agent(0);
    let id = api.start(Api::script(&[&node], &["true"])).await;
    cluster.kill("muster-run-command");
    let request = muster_proto::fleet::v1::DeregisterManagedInstanceRequest {
        instance_id: Some(node.clone()),
    };
    api.fleet.deregister_managed_instance(request).await.unwrap();
    cluster.restart("muster-run-command").await;
    api.ended(&id).await;
    let invocation = api.invocations(&id).await.remove(0);
    assert_eq!(invocation.status_details.as_deref(), Some("Cancelled"));
}

/// A document for another platform: refused for explicit ids, an invocation that says so for targets (2.2, check 8).
#[tokio::test]
async fn a_node_of_another_platform_is_refused_by_id_and_told_of_by_tag() {
    let (cluster, mut api, node) = one_agent().await;
    let content = r#"{"schemaVersion": "2.2", "description": "for Windows", "mainSteps": [
        {"action": "aws:psModule", "name": "module", "inputs": {"runCommand": ["x"]}}]}"#;
    let create = CreateDocumentRequest {
        name: Some("WindowsOnly".to_owned()),
        content: Some(content.to_owned()),
        document_format: Some(DocumentFormat::Json.into()),
        document_type: Some(muster_proto::documents::v1::DocumentType::Command.into()),
        ..CreateDocumentRequest::default()
    };
    api.documents.create_document(create).await.unwrap();
    let by_id = SendCommandRequest {
        document_name: Some("WindowsOnly".to_owned()),
        parameters: Default::default(),
        ..Api::script(&[&node], &[])
    };
    let refused = api.send(by_id.clone()).await.unwrap_err();
    assert!(refused.message().contains("does not support"), "{refused}");
    let by_tag = SendCommandRequest {
        instance_ids: Vec::new(),
        targets: Api::script_for_tag("Role", "web", &[]).targets,
        ..by_id
    };
    let id = api.start(by_tag).await;
    let command = api.ended(&id).await;
    assert_eq!(command.status(), CommandStatus::Failed);
    let invocation = api.invocations(&id).await.remove(0);
    assert_eq!(invocation.status_details.as_deref(), Some("InvalidPlatform"));
    assert_eq!(command.error_count, Some(0), "it is not counted");
    cluster.verify(&id);
}

/// Groups of resources are not kept by Muster: who asks for one is told so.
#[tokio::test]
async fn resource_groups_are_refused_with_their_name() {
    let (_cluster, mut api, _) = one_agent().await;
    let mut request = Api::script_for_tag("Role", "web", &["true"]);
    request.targets[0].key = Some("resource-groups:Name".to_owned());
    let refused = api.send(request).await.unwrap_err();
    assert!(refused.message().contains("resource group"), "{refused}");
}
