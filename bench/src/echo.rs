//! `echo hi` on 50 real agents, beside starting the same shell 50 times with nothing around it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use muster_proto::runcommand::v1::CommandStatus;

use crate::fan_out::run_on;
use crate::report::{Report, median, ms, ratio};
use crate::world::{Memory, World, agents};

const AGENTS: usize = 50;

pub(crate) async fn run(report: &mut Report, rounds: usize) -> Result<()> {
    let floors = (0..rounds).map(|_| bare()).collect::<Result<Vec<_>>>()?;
    let world = World::start(AGENTS).await?;
    let nats = world.nats().await?;
    // The first command pays for cold files; users send more than one.
    run_on(&nats, &world.ready.nodes, "echo hi").await?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let (command, time) = run_on(&nats, &world.ready.nodes, "echo hi").await?;
        ensure!(
            command.status() == CommandStatus::Success,
            "{:?}",
            command.status_details
        );
        times.push(time);
    }
    let (floor, time) = (median(floors), median(times));
    report.row(
        format!("`echo hi` on {AGENTS} real agents"),
        format!("{} (bare fork + exec of the same)", ms(floor)),
        ms(time),
        format!("{:.2} × (goal ≤ 3)", ratio(time, floor)),
    );
    let mut memories = Vec::new();
    for agent in agents(world.folder())? {
        memories.push(Memory::of_all(&agent)?);
    }
    memories.sort_unstable();
    if let Some(middle) = memories.get(memories.len() / 2) {
        report.row(
            format!("agent after work with its nursery, median of {}", memories.len()),
            "",
            middle.to_string(),
            "",
        );
    }
    Ok(())
}

/// The same scripts, two at a time, with their output captured.
fn bare() -> Result<Duration> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let half = || {
            for _ in 0..AGENTS / 2 {
                let output = Command::new("sh")
                    .args(["-c", "echo hi"])
                    .stdin(Stdio::null())
                    .output()?;
                ensure!(output.stdout == b"hi\n", "the shell did not say hi");
            }
            anyhow::Ok(())
        };
        let (one, two) = (scope.spawn(half), scope.spawn(half));
        for each in [one, two] {
            each.join().map_err(|_| anyhow::anyhow!("a thread died"))??;
        }
        anyhow::Ok(())
    })?;
    Ok(started.elapsed())
}
