//! Memory at rest, processor time at rest, and time to start.

use std::time::Duration;

use anyhow::Result;

use crate::report::{Report, median, ms};
use crate::services::Services;
use crate::world::{Memory, World, agents, busy};

/// At rest means after the greetings.
const SETTLE: Duration = Duration::from_secs(5);
/// Long enough for a heartbeat of every agent.
const WATCH: Duration = Duration::from_secs(60);

pub(crate) async fn run(report: &mut Report, rounds: usize) -> Result<()> {
    let mut times = Vec::new();
    for _ in 1..rounds {
        times.push(World::start(1).await?.took);
    }
    let world = World::start(1).await?;
    times.push(world.took);
    tokio::time::sleep(SETTLE).await;
    report.row(
        "`muster up`, all services in one process, at rest",
        "",
        Memory::of(world.pid())?.to_string(),
        "goal ≤ 60 MiB",
    );
    for agent in agents(world.folder())? {
        report.row(
            "agent with its nursery, at rest",
            "",
            Memory::of_all(&agent)?.to_string(),
            "goal ≤ 10 MiB",
        );
        let before = total(&agent)?;
        tokio::time::sleep(WATCH).await;
        let share = (total(&agent)? - before).as_secs_f64() / WATCH.as_secs_f64() * 100.0;
        report.row(
            format!("agent at rest, share of a core over {} s", WATCH.as_secs()),
            "",
            format!("{share:.3} %"),
            "goal ≤ 0.05 %",
        );
    }
    drop(world);
    report.row(
        "`muster up` with one agent: from the start of the binary to ready",
        "",
        ms(median(times)),
        "goal ≤ 1 s",
    );

    let services = Services::start().await?;
    tokio::time::sleep(SETTLE).await;
    let pids: Vec<u32> = services.pids().collect();
    report.row(
        format!("{} services at rest, each a process", pids.len()),
        "",
        Memory::of_all(&pids)?.to_string(),
        "goal ≤ 150 MiB together",
    );
    Ok(())
}

fn total(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|pid| busy(*pid)).sum()
}
