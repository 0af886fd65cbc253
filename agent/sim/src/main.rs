//! `muster-agent-sim`: a fleet for benches and demonstrations.

#![expect(clippy::print_stdout, reason = "the program's voice")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use muster_agent_sim::{Fleet, FleetSettings, Outcome, Script};
use tracing_subscriber::filter::LevelFilter;

/// Simulates many agents over a few connections.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// The NATS address.
    #[arg(long, env = "MUSTER_SERVER", default_value = "nats://127.0.0.1:4222")]
    server: String,
    /// A .creds file of a user that may speak for any node.
    #[arg(long, env = "MUSTER_CREDS")]
    creds: Option<PathBuf>,
    /// How many agents.
    #[arg(long, default_value_t = 1_000)]
    nodes: usize,
    /// Over how many connections.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// The nodes are called <name>-<number>.
    #[arg(long, default_value = "sim")]
    name: String,
    /// How long a run takes: 20ms, 1.5s.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    delay: Duration,
    /// Every Nth node fails every run; 0: none does.
    #[arg(long, default_value_t = 0)]
    fail_every: usize,
    /// A tag of all nodes as key=value; may be repeated.
    #[arg(long = "tag", value_parser = tag)]
    tags: Vec<(String, String)>,
}

fn tag(text: &str) -> Result<(String, String), &'static str> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or("expected key=value")
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').ok_or("expected a number with ms or s")?, 1.0),
    };
    let seconds = number.parse::<f64>().map_err(|_| "expected a number with ms or s")?;
    Duration::try_from_secs_f64(seconds * unit).map_err(|_| "expected a length of time that is not negative")
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_max_level(LevelFilter::WARN)
        .init();
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.as_ref(), "the fleet ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Box<dyn std::error::Error>> {
    let tags: BTreeMap<String, String> = cli.tags.into_iter().collect();
    let (delay, fail_every) = (cli.delay, cli.fail_every);
    let script = Script::new(move |number, _| Outcome {
        delay,
        code: i32::from(fail_every > 0 && (number + 1).is_multiple_of(fail_every)),
        ..Outcome::NOTHING
    });
    let begun = Instant::now();
    let fleet = Fleet::start(FleetSettings {
        nats_url: cli.server,
        credentials: cli.creds,
        nodes: cli.nodes,
        connections: cli.connections,
        name: cli.name,
        tags,
        script,
    })
    .await?;
    println!(
        "{} nodes are listening after {:.3} s",
        fleet.ids().len(),
        begun.elapsed().as_secs_f64()
    );
    tokio::signal::ctrl_c().await?;
    println!("{} runs were executed", fleet.executions().len());
    fleet.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        for bad in ["", "20", "ms", "-1s", "1m"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
