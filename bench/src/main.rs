//! How fast Muster is, beside the floor that the same machine allows in the same run.
//!
//! Every figure is taken from the release binaries that a user runs; only the nodes are simulated where a bench says so.
//! `cargo xtask bench` builds and runs this; the figures go to stdout as the tables of `docs/benchmarks.md`.

mod accept;
mod connects;
mod echo;
mod fan_out;
mod floor;
mod footprint;
mod live;
mod output;
mod parameters;
mod policy;
mod report;
mod services;
mod world;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::report::Report;

#[derive(Debug, Parser)]
struct Arguments {
    /// Which benches; all of them if none is named.
    #[arg(value_enum)]
    names: Vec<Name>,
    /// Rounds of each measurement; the median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// One no-op command to 1,000 and 10,000 simulated nodes, windows of 100 % and of 50.
    FanOut,
    /// A real script on 50 real agents.
    Echo,
    /// Accepting commands over AWS JSON.
    Accept,
    /// Parameters on each surface.
    Parameters,
    /// What signature, policy and audit log cost a request.
    Policy,
    /// Output while it is written.
    Live,
    /// Much output: 1 MiB on each of 50 real agents, 1 GiB on one.
    Output,
    /// Nodes that connect to the bus.
    Connects,
    /// Memory and processor time at rest, time to start.
    Footprint,
    /// From the death of a service to work that goes on.
    Recovery,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wanted = |name| arguments.names.is_empty() || arguments.names.contains(&name);
    let mut report = Report::new();
    if wanted(Name::Footprint) {
        footprint::run(&mut report, arguments.rounds).await?;
    }
    if wanted(Name::FanOut) {
        fan_out::run(&mut report, arguments.rounds).await?;
    }
    if wanted(Name::Echo) {
        echo::run(&mut report, arguments.rounds).await?;
    }
    if wanted(Name::Live) {
        live::run(&mut report, arguments.rounds).await?;
    }
    if wanted(Name::Output) {
        output::run(&mut report, arguments.rounds).await?;
    }
    if wanted(Name::Accept) {
        accept::run(&mut report).await?;
    }
    if wanted(Name::Parameters) {
        parameters::run(&mut report).await?;
    }
    if wanted(Name::Connects) {
        connects::run(&mut report).await?;
    }
    if wanted(Name::Policy) {
        policy::run(&mut report).await?;
    }
    if wanted(Name::Recovery) {
        services::recovery(&mut report, arguments.rounds).await?;
    }
    report.print();
    Ok(())
}
