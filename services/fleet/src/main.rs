//! The service of nodes and tags.

use muster_boot::Description;
use muster_fleet::{DATABASE, DEFAULTS, Server};

fn main() -> std::process::ExitCode {
    let description = Description {
        name: "muster-fleet",
        defaults: DEFAULTS,
        database: Some(DATABASE),
    };
    muster_boot::run(description, Server::start)
}
