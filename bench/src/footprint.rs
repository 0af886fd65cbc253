//! Memory at rest and time to start.

use std::time::Duration;

use anyhow::Result;

use crate::echo::mib;
use crate::report::{Report, median, ms};
use crate::world::{World, memory, processes};

pub(crate) async fn run(report: &mut Report, rounds: usize) -> Result<()> {
    let mut times = Vec::new();
    for round in 0..rounds {
        let world = World::start(1).await?;
        times.push(world.took);
        if round + 1 < rounds {
            continue;
        }
        // At rest means after the greetings: a few seconds without work.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (rss, pss) = memory(world.pid())?;
        report.row(
            "`muster up`, all services in one process, at rest",
            "",
            format!("{:.1} MiB resident, {:.1} MiB proportional", mib(rss), mib(pss)),
            "goal ≤ 60 MiB",
        );
        for pid in processes("muster-agent", world.folder()) {
            let (rss, pss) = memory(pid)?;
            report.row(
                "agent, at rest",
                "",
                format!("{:.1} MiB resident, {:.1} MiB proportional", mib(rss), mib(pss)),
                "goal ≤ 10 MiB",
            );
        }
    }
    report.row(
        "`muster up` with one agent: from the start of the binary to ready",
        "",
        ms(median(times)),
        "goal ≤ 1 s",
    );
    Ok(())
}
