//! Much output: 1 MiB from each of 50 real agents at once, and 1 GiB from one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use muster_proto::runcommand::v1::CommandStatus;

use crate::fan_out::run_on;
use crate::report::{Report, median, ms, ratio};
use crate::world::{Memory, World, agents, highest};

const AGENTS: usize = 50;
/// Lines of 64 bytes: 1 MiB.
const MEBIBYTE: &str = "yes 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde | head -c 1048576";
/// The same lines, 1 GiB.
const GIBIBYTE: &str = "yes 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde | head -c 1073741824";
/// How often memory is looked at while the gibibyte flows; peaks between two looks are in the kernel's high-water mark.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) async fn run(report: &mut Report, rounds: usize) -> Result<()> {
    fifty(report, rounds).await?;
    one(report).await
}

async fn fifty(report: &mut Report, rounds: usize) -> Result<()> {
    let floors = (0..rounds).map(|_| bare()).collect::<Result<Vec<_>>>()?;
    let world = World::start(AGENTS).await?;
    let nats = world.nats().await?;
    // The first command pays for cold files; users send more than one.
    run_on(&nats, &world.ready.nodes, MEBIBYTE).await?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let (command, time) = run_on(&nats, &world.ready.nodes, MEBIBYTE).await?;
        ensure!(
            command.status() == CommandStatus::Success,
            "{:?}",
            command.status_details
        );
        times.push(time);
    }
    let (floor, time) = (median(floors), median(times));
    report.row(
        format!("1 MiB of output on each of {AGENTS} real agents"),
        format!("{} (the same shells, their output into files)", ms(floor)),
        ms(time),
        format!("{:.2} ×", ratio(time, floor)),
    );
    Ok(())
}

async fn one(report: &mut Report) -> Result<()> {
    let world = World::start(1).await?;
    let nats = world.nats().await?;
    run_on(&nats, &world.ready.nodes, "echo warm").await?;
    let running = run_on(&nats, &world.ready.nodes, GIBIBYTE);
    tokio::pin!(running);
    let mut peak = Peak::default();
    let (command, time) = loop {
        tokio::select! {
            ended = &mut running => break ended?,
            () = tokio::time::sleep(LOOK) => peak.look(world.folder())?,
        }
    };
    ensure!(
        command.status() == CommandStatus::Success,
        "{:?}",
        command.status_details
    );
    report.row(
        "1 GiB of output on one real agent, to the end of the command",
        "",
        ms(time),
        "",
    );
    report.row(
        "the same: largest of the agent's processes at its peak",
        "",
        format!("{:.1} MiB resident", mebibytes(peak.largest)),
        "goal < 20 MiB",
    );
    report.row(
        "the same: daemon, nursery and runner together at their peak",
        "",
        peak.together.to_string(),
        "",
    );
    Ok(())
}

/// The most that was seen.
#[derive(Debug, Default)]
struct Peak {
    /// High-water mark of one process, in KiB.
    largest: u64,
    together: Memory,
}

impl Peak {
    fn look(&mut self, folder: &Path) -> Result<()> {
        for processes in agents(folder)? {
            // A runner may end between the listing and the look.
            let largest = processes.iter().filter_map(|pid| highest(*pid)).max();
            self.largest = self.largest.max(largest.unwrap_or_default());
            if let Ok(together) = Memory::of_all(&processes) {
                self.together = self.together.max(together);
            }
        }
        Ok(())
    }
}

fn mebibytes(kib: u64) -> f64 {
    Duration::from_millis(kib).as_secs_f64() * 1_000.0 / 1_024.0
}

/// The same scripts, two at a time, their output written to files.
fn bare() -> Result<Duration> {
    let folder = tempfile::tempdir()?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        let half = |thread: usize| {
            let folder = folder.path();
            move || {
                for number in 0..AGENTS / 2 {
                    let file = std::fs::File::create(folder.join(format!("{thread}-{number}")))?;
                    let status = Command::new("sh")
                        .args(["-c", MEBIBYTE])
                        .stdin(Stdio::null())
                        .stdout(file)
                        .stderr(Stdio::null())
                        .status()?;
                    ensure!(status.success(), "the shell failed");
                }
                anyhow::Ok(())
            }
        };
        let (one, two) = (scope.spawn(half(1)), scope.spawn(half(2)));
        for each in [one, two] {
            each.join().map_err(|_| anyhow::anyhow!("a thread died"))??;
        }
        anyhow::Ok(())
    })?;
    Ok(started.elapsed())
}
