//! `cargo xtask bench`: measures optimised binaries.

use anyhow::Result;

use crate::workspace::Profile;
use crate::{nats, process, python, workspace};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Names of benches and flags for them; none: all benches.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Builds everything with optimisation and runs `muster-bench`.
/// It finds the NATS server in `MUSTER_NATS_SERVER`, and the product's binaries beside itself.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = nats::server()?;
    process::timed("building with optimisation", || {
        process::run(&mut workspace::cargo(&["build", "--release", "--workspace", "--bins"]))
    })?;
    let binaries = workspace::binaries(Profile::Release)?;
    // With it comes moto, which is measured for comparison.
    let judges = python::judges()?;
    process::run(
        std::process::Command::new(binaries.join("muster-bench"))
            .current_dir(workspace::root())
            .args(&arguments.words)
            .env("MUSTER_NATS_SERVER", server)
            .env("MUSTER_TEST_PYTHON", judges.python),
    )
}
