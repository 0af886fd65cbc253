//! `cargo xtask <verb>`: what developers and CI run on a working copy.
//!
//! One file per verb, a folder where a verb needs more. CI runs nothing that a developer cannot run with one word.
//! Whatever a verb needs and does not find, it installs into `.muster/` of the working copy, or says what to do.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to the terminal"
)]

mod bench;
mod compose;
mod deny;
mod nats;
mod package;
mod postgres;
mod process;
mod python;
mod test;
mod tidy;
mod up;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "What developers and CI run on a working copy of Muster"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Find nats-server 2.10 or newer, or install the pinned one, and print its path.
    Nats,
    /// Build and start everything on this machine: `muster up` with a NATS server and local agents.
    Up(up::Arguments),
    /// Run the tests, with a NATS server and outside clients at hand.
    Test(test::Arguments),
    /// Check what compilers do not: arrows between crates, sizes, names, words, licences.
    Tidy,
    /// Check the crates that the product is made of: licences, sources, known vulnerabilities.
    Deny,
    /// Build with optimisation and measure.
    Bench(bench::Arguments),
    /// Packages for machines that build nothing.
    Package(package::Arguments),
    /// The same product in containers.
    Compose(compose::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Nats => nats::server().map(|path| println!("{}", path.display())),
        Verb::Up(arguments) => up::run(&arguments),
        Verb::Test(arguments) => test::run(&arguments),
        Verb::Tidy => tidy::run(),
        Verb::Deny => deny::run(),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Package(arguments) => package::run(&arguments),
        Verb::Compose(arguments) => compose::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
