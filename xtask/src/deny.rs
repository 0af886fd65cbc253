//! `cargo xtask deny`: what may be part of the product, and whether something in it is known to be broken.
//!
//! `cargo-deny` decides, by `deny.toml`. Licences, bans and sources need nothing but the lock file. Known
//! vulnerabilities need the public advisory database, which is fetched anew each time: on a machine that cannot reach
//! it this is said, loudly, and is no failure; a machine that reaches it fails on what it finds.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// The release that is installed where none is at hand.
const PINNED: &str = "0.20.2";

/// Installs `cargo-deny` where it is missing, and asks it.
pub(crate) fn run() -> Result<()> {
    let program = program()?;
    process::run(deny(&program).args(["check", "bans", "licenses", "sources"]))?;
    if let Err(error) = process::output(deny(&program).args(["fetch", "db"])) {
        eprintln!("xtask: advisories: NOT CHECKED, the advisory database cannot be fetched: {error:#}");
        return Ok(());
    }
    process::run(deny(&program).args(["check", "advisories"]))
}

/// One on PATH, else the pinned one in `.muster/tools`, installed if need be.
fn program() -> Result<PathBuf> {
    let on_path = PathBuf::from("cargo-deny");
    let own = workspace::own("tools/cargo-deny/bin/cargo-deny");
    for candidate in [&on_path, &own] {
        if process::succeeds(Command::new(candidate).arg("--version")) {
            return Ok(candidate.clone());
        }
    }
    process::timed("installing cargo-deny", || {
        // A folder of its own: its parts are built with other features than ours.
        let root = workspace::own("tools/cargo-deny");
        process::run(
            workspace::cargo(&[
                "install",
                "cargo-deny",
                "--quiet",
                // It runs for seconds: what the compiler would make faster takes minutes to be made.
                "--debug",
                "--locked",
                "--version",
                PINNED,
                "--root",
            ])
            .arg(&root)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_TARGET_DIR", root.join("target")),
        )?;
        std::fs::remove_dir_all(root.join("target")).context("what the build left cannot be removed")
    })?;
    Ok(own)
}

fn deny(program: &PathBuf) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command
}
