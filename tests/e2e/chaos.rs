//! `kill -9` of everything while a command runs: it ends with the right counts, nothing ran twice, nothing hangs.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_agent_sim::{Fleet, FleetSettings, Outcome, Script};
use muster_harness::until_within;
use muster_proto::runcommand::v1::CommandStatus;
use muster_tests::{AgentSpec, Api, Cluster};

const NODES: usize = 200;
/// Nodes that fail: every tenth.
const FAILING: i32 = 20;

async fn fleet(cluster: &Cluster) -> Fleet {
    let script = Script::new(|number, _| Outcome {
        delay: Duration::from_millis(20 + (number as u64 * 37) % 180),
        code: i32::from(number % 10 == 3),
        ..Outcome::NOTHING
    });
    Fleet::start(FleetSettings {
        nats_url: cluster.nats.url(),
        credentials: Some(cluster.crowd()),
        nodes: NODES,
        connections: 4,
        name: "chaos".to_owned(),
        tags: BTreeMap::from([("Role".to_owned(), "chaos".to_owned())]),
        script,
    })
    .await
    .unwrap()
}

async fn completed(api: &mut Api, id: &str) -> i32 {
    match api.command(id).await {
        Ok(command) => command.completed_count.unwrap_or_default(),
        // The service that answers may be the one that was just killed.
        Err(_) => -1,
    }
}

/// What is killed, at which share of the command, in tenths.
async fn survive(kills: &[(&'static str, i32)]) {
    let mut cluster = Cluster::start(&[]).await;
    let fleet = fleet(&cluster).await;
    let mut api = cluster.api().await;
    let mut request = Api::script_for_tag("Role", "chaos", &["true"]);
    request.max_concurrency = Some("10".to_owned());
    request.max_errors = Some("100%".to_owned());
    let id = api.start(request).await;
    for (victim, tenths) in kills {
        let enough = i32::try_from(NODES).unwrap() * tenths / 10;
        until_within(
            Duration::from_secs(60),
            "the command is so far",
            async || match completed(&mut api, &id).await {
                done if done >= enough => Ok(()),
                done => Err(done),
            },
        )
        .await;
        if *victim == "nats-server" {
            cluster.nats.kill();
            cluster.nats.restart().await;
        } else {
            cluster.kill(victim);
            cluster.restart(victim).await;
        }
    }
    let command = api.ended_within(&id, Duration::from_secs(120)).await;
    assert_eq!(command.target_count, i32::try_from(NODES).ok());
    assert_eq!(command.completed_count, i32::try_from(NODES).ok());
    assert_eq!(command.error_count, Some(FAILING));
    assert_eq!(command.status_details.as_deref(), Some("Incomplete"));
    let executions = fleet.executions();
    assert_eq!(executions.len(), NODES, "every node ran it");
    assert!(executions.iter().all(|each| each.times == 1), "and ran it once");
    let invocations = api.invocations(&id).await;
    let failed = invocations
        .iter()
        .filter(|each| each.status_details.as_deref() == Some("Failed"))
        .count();
    assert_eq!((invocations.len(), failed), (NODES, usize::try_from(FAILING).unwrap()));
    cluster.verify(&id);
    fleet.stop().await;
}

#[tokio::test]
async fn a_command_survives_the_death_of_the_coordinator() {
    survive(&[("muster-fan-out", 1), ("muster-fan-out", 4), ("muster-fan-out", 8)]).await;
}

#[tokio::test]
async fn a_command_survives_the_death_of_run_command() {
    survive(&[("muster-run-command", 1), ("muster-run-command", 5)]).await;
}

#[tokio::test]
async fn a_command_survives_the_death_of_the_bus() {
    survive(&[("nats-server", 1), ("nats-server", 6)]).await;
}

#[tokio::test]
async fn a_command_survives_the_death_of_everything_in_turn() {
    survive(&[
        ("muster-fleet", 1),
        ("muster-fan-out", 2),
        ("nats-server", 3),
        ("muster-run-command", 4),
        ("muster-documents", 5),
        ("muster-gateway", 6),
        ("muster-fan-out", 7),
        ("nats-server", 8),
    ])
    .await;
}

#[tokio::test]
async fn a_real_agent_killed_at_any_moment_runs_nothing_twice() {
    let mut cluster = Cluster::start(&[AgentSpec::default(), AgentSpec::default()]).await;
    let nodes = cluster.nodes().await;
    let mut api = cluster.api().await;
    let runs = cluster.folder().join("runs");
    let line = format!(
        "echo $MUSTER_COMMAND_ID $MUSTER_NODE_ID >> {}; sleep 0.2",
        runs.display()
    );
    let targets: Vec<_> = nodes.iter().map(String::as_str).collect();
    let mut ids = Vec::new();
    for round in 0..6 {
        ids.push(api.start(Api::script(&targets, &[&line])).await);
        cluster.kill_agent(round % 2);
        cluster.restart_agent(round % 2);
    }
    for id in &ids {
        assert_eq!(api.ended(id).await.status(), CommandStatus::Success);
        cluster.verify(id);
    }
    let text = std::fs::read_to_string(&runs).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    let all = lines.len();
    lines.dedup();
    assert_eq!((lines.len(), all), (12, 12), "{text}");
}
