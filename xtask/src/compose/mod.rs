//! `cargo xtask compose`: the product in containers, with whatever container tools this machine has.

mod check;
mod engine;
mod images;
mod stack;
mod surface;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};

use engine::Engine;
use stack::Stack;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the images, start everything and wait until it is healthy.
    Up {
        /// Where the binaries in the images come from.
        #[arg(long, value_enum, default_value_t = Binaries::Build)]
        binaries: Binaries,
    },
    /// Stop everything.
    Down {
        /// Forget all data too.
        #[arg(long)]
        volumes: bool,
    },
    /// Start a stack of its own, run commands through it over NATS, gRPC and AWS JSON, and take it down.
    Check {
        /// Where the binaries in the images come from.
        #[arg(long, value_enum, default_value_t = Binaries::Build)]
        binaries: Binaries,
    },
}

/// Where the binaries in the images come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Binaries {
    /// Compiled inside the containers; needs nothing but the container tools.
    Build,
    /// Compiled here (dev profile) and copied: fast where the tests were built before. This machine's C library must
    /// not be newer than the image's.
    Host,
}

/// Does what was asked.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let engine = Engine::find()?;
    match arguments.verb {
        Verb::Up { binaries } => {
            let stack = Stack::of_users(engine, binaries);
            stack.build()?;
            stack.start()?;
            stack.describe();
            Ok(())
        }
        Verb::Down { volumes } => Stack::of_users(engine, Binaries::Build).stop(volumes),
        Verb::Check { binaries } => check::run(engine, binaries),
    }
}
