//! One no-op command to many simulated nodes, until every one is terminal and durable.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_nats::Client;
use muster_agent_sim::{Fleet, FleetSettings, Outcome, Script};
use muster_proto::aws::v1::{ParameterValueList, Target};
use muster_proto::runcommand::v1::run_command_client::RunCommandClient;
use muster_proto::runcommand::v1::{Command, CommandStatus, ListCommandsRequest, SendCommandRequest};
use muster_wire::NatsChannel;

use crate::floor::{self, Echoes};
use crate::report::{Report, median, ms, ratio, tell};
use crate::world::World;

pub(crate) async fn run(report: &mut Report, rounds: usize) -> Result<()> {
    let mut per_node = Vec::new();
    for nodes in [1_000, 10_000] {
        let time = measure(report, rounds, nodes, nodes, Duration::ZERO, "≤ 4").await?;
        per_node.push(time.div_f64(nodes as f64));
        measure(report, rounds, nodes, 50, Duration::ZERO, "none").await?;
    }
    if let [few, many] = per_node[..] {
        report.row(
            "time for each node, 10,000 beside 1,000, window 100 %",
            format!("{:.1} µs", few.as_secs_f64() * 1e6),
            format!("{:.1} µs", many.as_secs_f64() * 1e6),
            format!("{:.2} × (goal ≤ 1.2)", ratio(many, few)),
        );
    }
    measure(report, rounds, 1_000, 50, Duration::from_millis(20), "≤ 1.3").await?;
    Ok(())
}

async fn measure(
    report: &mut Report,
    rounds: usize,
    nodes: usize,
    window: usize,
    delay: Duration,
    goal: &str,
) -> Result<Duration> {
    let world = World::start(0).await?;
    let nats = world.nats().await?;

    let echoes = Echoes::start(&world, nodes, delay).await?;
    let bare = world
        .floor()?
        .subscription_capacity(128 * 1024)
        .connect(&world.ready.nats)
        .await?;
    let mut floors = Vec::new();
    for _ in 0..rounds {
        floors.push(floor::fan_out(&bare, nodes, window).await?);
    }
    echoes.stop();

    let registering = Instant::now();
    let fleet = Fleet::start(FleetSettings {
        nats_url: world.ready.nats.clone(),
        credentials: Some(world.crowd()?),
        nodes,
        connections: 8,
        name: "bench".to_owned(),
        tags: BTreeMap::from([("Role".to_owned(), "bench".to_owned())]),
        script: Script::always(Outcome::success_after(delay)),
    })
    .await?;
    tell(&format!("{nodes} nodes registered in {}", ms(registering.elapsed())));

    let mut times = Vec::new();
    let mut accepted = Vec::new();
    for _ in 0..rounds {
        let started = Instant::now();
        let command = send(&nats, window).await?;
        accepted.push(started.elapsed());
        let id = command.command_id.context("a command without id")?;
        let ended = wait(&nats, &id).await?;
        times.push(started.elapsed());
        ensure!(
            ended.status() == CommandStatus::Success,
            "the command ended {:?}",
            ended.status_details
        );
        ensure!(
            ended.completed_count == i32::try_from(nodes).ok(),
            "not every node is counted"
        );
    }
    let twice = fleet.executions().into_iter().filter(|each| each.times > 1).count();
    ensure!(twice == 0, "{twice} runs were executed twice");
    fleet.stop().await;

    let (floor, time) = (median(floors), median(times.clone()));
    let what = if delay.is_zero() {
        let share = if window == nodes {
            "100 %".to_owned()
        } else {
            window.to_string()
        };
        format!("no-op to {nodes} simulated nodes, window {share}, all terminal and durable")
    } else {
        format!("{nodes} simulated nodes that need {}, window {window}", ms(delay))
    };
    report.row(
        what,
        ms(floor),
        format!("{} (accepted after {})", ms(time), ms(median(accepted))),
        format!("{:.2} × (goal {goal})", ratio(time, floor)),
    );
    Ok(time)
}

pub(crate) async fn send(nats: &Client, window: usize) -> Result<Command> {
    let request = SendCommandRequest {
        document_name: Some("AWS-RunShellScript".to_owned()),
        targets: vec![Target {
            key: Some("tag:Role".to_owned()),
            values: vec!["bench".to_owned()],
        }],
        parameters: HashMap::from([(
            "commands".to_owned(),
            ParameterValueList {
                items: vec!["true".to_owned()],
            },
        )])
        .into_iter()
        .collect(),
        max_concurrency: Some(window.to_string()),
        ..SendCommandRequest::default()
    };
    let answer = RunCommandClient::new(NatsChannel::new(nats.clone()))
        .send_command(request)
        .await?;
    answer.into_inner().command.context("an answer without command")
}

/// Asks until the command has ended.
pub(crate) async fn wait(nats: &Client, id: &str) -> Result<Command> {
    let mut client = RunCommandClient::new(NatsChannel::new(nats.clone()));
    loop {
        let request = ListCommandsRequest {
            command_id: Some(id.to_owned()),
            ..ListCommandsRequest::default()
        };
        let mut answer = client.list_commands(request).await?.into_inner();
        let command = answer.commands.pop().context("the command is gone")?;
        match command.status() {
            CommandStatus::Pending | CommandStatus::InProgress | CommandStatus::Cancelling => {}
            _ => return Ok(command),
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Sends a command to some nodes and waits for its end.
pub(crate) async fn run_on(nats: &Client, nodes: &[String], script: &str) -> Result<(Command, Duration)> {
    let mut targets = Vec::new();
    for chunk in nodes.chunks(50) {
        targets.push(Target {
            key: Some("InstanceIds".to_owned()),
            values: chunk.to_vec(),
        });
    }
    let request = SendCommandRequest {
        document_name: Some("AWS-RunShellScript".to_owned()),
        targets,
        parameters: [(
            "commands".to_owned(),
            ParameterValueList {
                items: vec![script.to_owned()],
            },
        )]
        .into_iter()
        .collect(),
        max_concurrency: Some("100%".to_owned()),
        ..SendCommandRequest::default()
    };
    let started = Instant::now();
    let answer = RunCommandClient::new(NatsChannel::new(nats.clone()))
        .send_command(request)
        .await?;
    let id = answer
        .into_inner()
        .command
        .and_then(|command| command.command_id)
        .context("no command")?;
    let ended = wait(nats, &id).await?;
    Ok((ended, started.elapsed()))
}
