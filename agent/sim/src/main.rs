//! Simulated agents for benchmarks and for trying Muster at a size that no laptop has machines for.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use muster_agent_sim::{Fleet, FleetSettings, Outcome, Script};

/// Registers simulated nodes and lets them answer until the process is stopped.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address of the bus.
    #[arg(long, env = "MUSTER_SERVER", default_value = "nats://127.0.0.1:4222")]
    server: String,
    /// How many nodes.
    #[arg(long, default_value_t = 100)]
    nodes: usize,
    /// Over how many connections.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Tells these machines from those of other simulations.
    #[arg(long, default_value = "sim")]
    name: String,
    /// A tag that every node has, KEY=VALUE.
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// Milliseconds that a run takes.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Every n-th node fails; 0: none.
    #[arg(long, default_value_t = 0)]
    fail_every: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut tags = BTreeMap::new();
    for tag in &arguments.tags {
        let (key, value) = tag.split_once('=').with_context(|| format!("{tag} is not KEY=VALUE"))?;
        tags.insert(key.to_owned(), value.to_owned());
    }
    let (delay, fail_every) = (Duration::from_millis(arguments.delay_ms), arguments.fail_every);
    let script = Script::new(move |number, _| Outcome {
        delay,
        code: i32::from(fail_every > 0 && (number + 1).is_multiple_of(fail_every)),
        ..Outcome::NOTHING
    });
    let fleet = Fleet::start(FleetSettings {
        nats_url: arguments.server,
        nodes: arguments.nodes,
        connections: arguments.connections,
        name: arguments.name,
        tags,
        script,
    })
    .await?;
    #[expect(clippy::print_stdout, reason = "the one line that scripts wait for")]
    {
        println!("{} nodes are listening", fleet.ids().len());
    }
    tokio::signal::ctrl_c().await?;
    fleet.stop().await;
    Ok(())
}
