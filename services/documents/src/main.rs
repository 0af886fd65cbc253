//! The service of documents.

use muster_boot::Description;
use muster_documents::{DATABASE, DEFAULTS, Server};

fn main() -> std::process::ExitCode {
    let description = Description {
        name: "muster-documents",
        defaults: DEFAULTS,
        database: Some(DATABASE),
    };
    muster_boot::run(description, Server::start)
}
