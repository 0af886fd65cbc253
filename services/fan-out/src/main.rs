//! The coordinator's service.

use muster_boot::Description;
use muster_fan_out::{DATABASE, DEFAULTS, Server};

fn main() -> std::process::ExitCode {
    let description = Description {
        name: "muster-fan-out",
        defaults: DEFAULTS,
        database: Some(DATABASE),
    };
    muster_boot::run(description, Server::start)
}
