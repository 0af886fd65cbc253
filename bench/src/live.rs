//! How soon the first byte of a script's output is at the client: `echo` and then a long sleep on a real agent.
//!
//! From the moment at which the script writes, as the script itself says, to the moment at which the client has it.
//! The floor is a message over the same bus.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use async_nats::{Client, Subscriber};
use futures::StreamExt;
use muster_proto::aws::v1::ParameterValueList;
use muster_proto::runcommand::v1::run_command_client::RunCommandClient;
use muster_proto::runcommand::v1::run_command_output_client::RunCommandOutputClient;
use muster_proto::runcommand::v1::{FollowOutputRequest, OfferOutputRequest, SendCommandRequest};
use muster_wire::{NatsChannel, subject};

use crate::report::{Report, median, ms};
use crate::world::World;

/// Lines that are timed: half of them soon after each other, half after a silence.
const LINES: usize = 100;

pub(crate) async fn run(report: &mut Report, rounds: usize) -> Result<()> {
    let world = World::start(1).await?;
    let nats = world.nats().await?;
    let mut times = Vec::new();
    let mut firsts = Vec::new();
    for round in 0..rounds {
        let (first, later) = lines(&nats, &world.ready.nodes, round).await?;
        firsts.push(first);
        times.extend(later);
    }
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    let floor = ms(bare(&world.floor()?.connect(&world.ready.nats).await?).await?);
    report.row(
        "first byte of a line at the client, p50",
        format!("{floor} (a message there and back)"),
        ms(median(times)),
        "goal ≤ 20 ms",
    );
    report.row(
        "first byte of a line at the client, p99",
        floor,
        ms(p99),
        "goal ≤ 100 ms",
    );
    report.row(
        "`SendCommand` to the first byte at the client, p50",
        "",
        ms(median(firsts)),
        "goal ≤ 200 ms",
    );
    Ok(())
}

/// From sending to the first byte; and for each line from its writing to its arrival.
async fn lines(nats: &Client, nodes: &[String], round: usize) -> Result<(Duration, Vec<Duration>)> {
    let listener = format!("bench{round}round");
    let mut output = nats
        .subscribe(subject::output_for(subject::NO_PERSON, &listener))
        .await?;
    // The clock of the machine is the script's and ours.
    let script = format!("for i in $(seq {LINES}); do date +%s%N; sleep 0.0$((i % 2 * 9)); done");
    let channel = NatsChannel::new(nats.clone());
    let started = Instant::now();
    let sent = RunCommandClient::new(channel.clone())
        .send_command(SendCommandRequest {
            document_name: Some("AWS-RunShellScript".to_owned()),
            instance_ids: nodes.to_vec(),
            parameters: [("commands".to_owned(), ParameterValueList { items: vec![script] })].into(),
            ..SendCommandRequest::default()
        })
        .await?
        .into_inner();
    let command = sent.command.context("no command")?;
    RunCommandOutputClient::new(channel)
        .offer_output(OfferOutputRequest {
            follow: Some(FollowOutputRequest {
                command_id: command.command_id,
                ..FollowOutputRequest::default()
            }),
            listener: Some(listener),
            window_bytes: 0,
        })
        .await?;
    let mut first = None;
    let mut times = Vec::new();
    let mut rest = String::new();
    while let Some((kind, text)) = next(&mut output).await? {
        let now = SystemTime::UNIX_EPOCH.elapsed()?;
        if kind == "command" {
            break;
        }
        first.get_or_insert_with(|| started.elapsed());
        rest.push_str(&text);
        while let Some((line, after)) = rest.split_once('\n') {
            let written = Duration::from_nanos(line.trim().parse()?);
            times.push(now.saturating_sub(written));
            rest = after.to_owned();
        }
    }
    ensure!(times.len() == LINES, "{} of {LINES} lines came", times.len());
    Ok((first.context("nothing came")?, times))
}

async fn next(output: &mut Subscriber) -> Result<Option<(String, String)>> {
    let message = tokio::time::timeout(Duration::from_secs(30), output.next()).await?;
    let Some(message) = message else {
        return Ok(None);
    };
    let kind = message
        .headers
        .as_ref()
        .and_then(|headers| headers.get("Muster-News"))
        .map(ToString::to_string)
        .unwrap_or_default();
    Ok(Some((kind, String::from_utf8(message.payload.to_vec())?)))
}

/// A message to ourselves over the broker.
async fn bare(nats: &Client) -> Result<Duration> {
    let inbox = nats.new_inbox();
    let mut messages = nats.subscribe(inbox.clone()).await?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let started = Instant::now();
        nats.publish(inbox.clone(), "x".into()).await?;
        messages.next().await.context("the bus is gone")?;
        times.push(started.elapsed());
    }
    Ok(median(times))
}
