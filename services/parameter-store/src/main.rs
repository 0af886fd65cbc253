//! The service of parameters.

use muster_boot::Description;
use muster_parameter_store::{DATABASE, DEFAULTS, Server};

fn main() -> std::process::ExitCode {
    let description = Description {
        name: "muster-parameter-store",
        defaults: DEFAULTS,
        database: Some(DATABASE),
    };
    muster_boot::run(description, Server::start)
}
