//! The gateway: AWS JSON 1.1 for everything that Muster can do.

use muster_boot::Description;
use muster_gateway::{DEFAULTS, Server};

fn main() -> std::process::ExitCode {
    let description = Description {
        name: "muster-gateway",
        defaults: DEFAULTS,
        database: None,
    };
    muster_boot::run(description, Server::start)
}
