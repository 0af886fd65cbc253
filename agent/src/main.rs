//! `muster-agent`: see the library's page.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster_agent::cli::main(std::env::args_os(), muster_agent::daemon::RunnerCommand::default())
}
