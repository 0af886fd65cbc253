//! `cargo xtask up`: everything on this machine.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Profile;
use crate::{nats, process, workspace};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Build with optimisation: a slower first build, the speed that users get.
    ///
    /// Without it the dev profile is built, which the tests share.
    #[arg(long)]
    release: bool,
    /// Flags for `muster up`.
    #[arg(last = true)]
    flags: Vec<String>,
}

/// Builds the command line and the agent, and becomes `muster up`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let profile = Profile::from_flag(arguments.release);
    let server = nats::server()?;
    process::timed("building muster and muster-agent", || {
        process::run(workspace::cargo(&["build", "--profile", profile.name()]).args([
            "--package",
            "muster",
            "--package",
            "muster-agent",
        ]))
    })?;
    let program = workspace::binaries(profile)?.join("muster");
    // From here on this process is `muster`: signals and the exit code are its own.
    let error = Command::new(&program)
        .arg("up")
        .args(&arguments.flags)
        .env("MUSTER_NATS_SERVER", server)
        .exec();
    Err(error).with_context(|| format!("{} cannot be started", program.display()))
}
