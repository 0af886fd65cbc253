//! The service of Run Command.

use muster_boot::Description;
use muster_run_command::{DATABASE, DEFAULTS, Server};

fn main() -> std::process::ExitCode {
    let description = Description {
        name: "muster-run-command",
        defaults: DEFAULTS,
        database: Some(DATABASE),
    };
    muster_boot::run(description, Server::start)
}
