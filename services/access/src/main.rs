//! The service of users, access keys, policies and the audit log.

use muster_access::{DATABASE, DEFAULTS, Server, bootstrap};
use muster_boot::Description;

fn main() -> std::process::ExitCode {
    // In a container there is nothing but this program to make the first access key with.
    if let Some(ended) = bootstrap::take(std::env::args_os()) {
        return ended;
    }
    let description = Description {
        name: "muster-access",
        defaults: DEFAULTS,
        database: Some(DATABASE),
    };
    muster_boot::run(description, Server::start)
}
