//! `muster`, the command line.
//!
//! | Module | What |
//! |---|---|
//! | `up` | everything on this machine: services, a NATS server, local agents |
//! | `run`, `commands`, `log_streams` | one command on many nodes, what became of it, and what it wrote |
//! | `verify` | what was recorded of a command, held against the laws |
//! | `nodes`, `documents`, `activations` | what is there, and how machines come to be |
//! | `access`, `policy` | who there is, what they may do, and why |
//! | `login` | an access key for a token of an identity provider |
//! | `audit` | what was decided |
//! | `call` | any operation of the contract, by reflection |
//! | `package` | packages for a store, and the keys that sign them |
//! | `init`, `nats` | the keys, credentials and accounts of a bus |
//! | `trust` | the folder that holds them |
//! | `completion` | scripts for shells |
//! | `server`, `ready`, `place` | finding the server |
//! | `invocation`, `report`, `shape`, `table`, `pair` | what verbs share: queries, texts, what callers write |
//! | `complaint`, `exit`, `print` | how it speaks and ends |
//!
//! Data goes to stdout, everything else to stderr, so that output can be piped.
//! Verbs talk to services over NATS through the contract, like every other client.
//! An error is one line: what is wrong, where, and what to do, with the error word that programs match on.

mod access;
mod activations;
mod audit;
mod call;
mod commands;
mod complaint;
mod completion;
mod documents;
mod exit;
mod init;
mod install_line;
mod invocation;
mod log_streams;
mod login;
mod nats;
mod nodes;
mod package;
mod pair;
mod parameters;
mod place;
mod policy;
mod print;
mod ready;
mod report;
mod run;
mod server;
mod shape;
mod table;
mod trust;
mod up;
mod verify;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;

use complaint::Complaint;
use server::ServerArguments;

/// Runs commands on a fleet of machines.
#[derive(Debug, Parser)]
#[command(name = "muster", version, arg_required_else_help = true, after_help = Exit::HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    server: ServerArguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start everything on this machine, until Ctrl-C.
    Up(up::Arguments),
    /// Make the keys, credentials and configuration of a bus.
    Init(Box<init::Arguments>),
    /// Look after the accounts and keys of a bus.
    Nats(nats::Arguments),
    /// Run a command on nodes, show what they write, and wait for the end.
    #[command(after_help = Exit::HELP)]
    Run(Box<run::Arguments>),
    /// List nodes; show one; set and remove tags.
    Nodes(nodes::Arguments),
    /// Make, list and delete activations, by which machines become nodes.
    Activations(activations::Arguments),
    /// List commands; show or cancel one.
    Commands(commands::Arguments),
    /// Check what was recorded of a command against the laws that must always hold.
    Verify(verify::Arguments),
    /// List documents; print, make, change and delete them.
    Documents(documents::Arguments),
    /// Named values with versions: print, put, list, label, compare, export and import them.
    Parameters(parameters::Arguments),
    /// Users, groups, roles, policies and access keys; the first access key.
    Access(access::Arguments),
    /// Change a token of your identity provider for a temporary access key.
    Login(Box<login::Arguments>),
    /// Say what would be decided, and whether a text is a policy.
    Policy(policy::Arguments),
    /// List what was decided; check, export and shorten the log.
    Audit(audit::Arguments),
    /// Call any operation, with the public API's JSON.
    Call(call::Arguments),
    /// Make packages for machines, and the keys that sign them.
    Package(package::Arguments),
    /// Print a completion script for a shell.
    Completion(completion::Arguments),
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(failed) = up::leash::take(&arguments) {
        return failed;
    }
    let cli = Cli::parse_from(arguments);
    let outcome = match cli.verb {
        Verb::Up(arguments) => up::main(arguments),
        Verb::Init(arguments) => init::run(&arguments),
        Verb::Nats(arguments) => block_on(nats::run(arguments, &cli.server)),
        Verb::Run(arguments) => block_on(run::run(*arguments, &cli.server)),
        Verb::Nodes(arguments) => block_on(nodes::run(arguments, &cli.server)),
        Verb::Activations(arguments) => block_on(activations::run(arguments, &cli.server)),
        Verb::Commands(arguments) => block_on(commands::run(arguments, &cli.server)),
        Verb::Verify(arguments) => block_on(verify::run(arguments, &cli.server)),
        Verb::Documents(arguments) => block_on(documents::run(arguments, &cli.server)),
        Verb::Parameters(arguments) => block_on(parameters::run(arguments, &cli.server)),
        Verb::Access(arguments) => block_on(access::run(arguments, &cli.server)),
        Verb::Login(arguments) => block_on(login::run(*arguments)),
        Verb::Policy(arguments) => block_on(policy::run(arguments, &cli.server)),
        Verb::Audit(arguments) => block_on(audit::run(arguments, &cli.server)),
        Verb::Call(arguments) => block_on(call::run(arguments, &cli.server)),
        Verb::Package(arguments) => package::run(&arguments),
        Verb::Completion(arguments) => completion::run::<Cli>(&arguments),
    };
    let exit = outcome.unwrap_or_else(|complaint| {
        if !complaint.is_silent() {
            print::say(&format!("muster: {}", complaint.line()));
        }
        complaint.exit()
    });
    exit.into()
}

/// Verbs that only ask and wait need one thread.
fn block_on(verb: impl Future<Output = Result<Exit, Complaint>>) -> Result<Exit, Complaint> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Complaint::System {
            what: "what waiting needs",
            source,
        })?;
    runtime.block_on(Box::pin(verb))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
