//! The agent as a later version: what the tests update one to.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster_agent::facts::set_version("99.1.0");
    muster_agent::cli::main(std::env::args_os(), muster_agent::daemon::RunnerCommand::default())
}
