//! `cargo xtask package`: what is handed to machines that build nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::process;
use crate::workspace::{self, Profile};

/// The target without any library of the system's.
const STATIC: &str = "x86_64-unknown-linux-musl";

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A Debian package of the agent, in target/package; needs dpkg-deb.
    Deb {
        /// Take the agent that `cargo build` made, without optimisation: quick, for trying the package itself.
        #[arg(long)]
        debug: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match arguments.what {
        What::Deb { debug } => {
            let package = deb(Profile::from_flag(!debug))?;
            println!("{}", package.display());
            Ok(())
        }
    }
}

/// Where a file of the package comes from and goes to, and its mode.
const FILES: &[(&str, &str, u32)] = &[
    (
        "packaging/systemd/muster-agent.service",
        "usr/lib/systemd/system/muster-agent.service",
        0o644,
    ),
    ("packaging/deb/agent.toml", "etc/muster-agent/agent.toml", 0o600),
    ("packaging/deb/policy.toml", "etc/muster-agent/policy.toml", 0o644),
    ("packaging/deb/copyright", "usr/share/doc/muster-agent/copyright", 0o644),
    ("docs/operate/agent.md", "usr/share/doc/muster-agent/agent.md", 0o644),
    ("packaging/deb/postinst", "DEBIAN/postinst", 0o755),
    ("packaging/deb/prerm", "DEBIAN/prerm", 0o755),
    ("packaging/deb/postrm", "DEBIAN/postrm", 0o755),
];

fn deb(profile: Profile) -> Result<PathBuf> {
    let architecture = process::output(Command::new("dpkg").arg("--print-architecture"))
        .context("a Debian package is made on a Debian system")?;
    let architecture = architecture.trim();
    let (binary, needs) = agent(profile)?;
    let version = env!("CARGO_PKG_VERSION");

    let folder = workspace::binaries(profile)?
        .parent()
        .context("the target directory")?
        .join("package");
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let program = root.join("usr/bin/muster-agent");
    put(&binary, &program, 0o755)?;
    process::run(Command::new("strip").arg(&program)).context("binutils is needed for strip")?;
    for (from, to, mode) in FILES {
        put(&workspace::root().join(from), &root.join(to), *mode)?;
    }
    let additions = root.join("etc/muster-agent/agent.toml.d");
    fs::create_dir_all(&additions)?;
    changelog(&root, version)?;
    let size = process::output(Command::new("du").arg("-sk").arg(&root))?;
    let size = size.split_whitespace().next().unwrap_or("0");
    write(
        &root.join("DEBIAN/control"),
        &control(version, architecture, &needs, size),
    )?;
    write(
        &root.join("DEBIAN/conffiles"),
        "/etc/muster-agent/agent.toml\n/etc/muster-agent/policy.toml\n",
    )?;
    for directory in ["", "DEBIAN", "etc", "usr", "usr/bin", "etc/muster-agent"] {
        fs::set_permissions(root.join(directory), Permissions::from_mode(0o755))?;
    }
    let package = folder.join(format!("muster-agent_{version}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "--build"]).arg(&root).arg(&package);
    process::output(&mut build)?;
    Ok(package)
}

/// The agent's program and the packages it needs: none where the static target is installed.
fn agent(profile: Profile) -> Result<(PathBuf, String)> {
    let installed = process::output(Command::new("rustup").args(["target", "list", "--installed"])).unwrap_or_default();
    let is_static = installed.lines().any(|target| target == STATIC);
    let mut build = workspace::cargo(&["build", "--locked", "-p", "muster-agent", "--bin", "muster-agent"]);
    build.args(["--profile", profile.name()]);
    let mut folder = workspace::binaries(profile)?;
    if is_static {
        build.args(["--target", STATIC]);
        let name = folder.file_name().context("a profile's folder")?.to_owned();
        folder = folder.parent().context("the target directory")?.join(STATIC).join(name);
    } else {
        eprintln!("the target {STATIC} is not installed: the program needs the C library of the system");
    }
    process::run(&mut build)?;
    let binary = folder.join("muster-agent");
    let needs = match is_static {
        true => String::new(),
        false => {
            let program = fs::read(&binary).with_context(|| format!("{}", binary.display()))?;
            let (major, minor) = newest_glibc(&program).context("the program names no version of the C library")?;
            format!("Depends: libc6 (>= {major}.{minor}), libgcc-s1\n")
        }
    };
    Ok((binary, needs))
}

/// The newest version of the C library among the symbols that a program asks for.
fn newest_glibc(program: &[u8]) -> Option<(u32, u32)> {
    const MARK: &[u8] = b"GLIBC_";
    let versions = program
        .windows(MARK.len())
        .enumerate()
        .filter(|(_, window)| *window == MARK);
    versions
        .filter_map(|(at, _)| {
            let text = &program[at + MARK.len()..];
            let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
            let (major, minor) = std::str::from_utf8(&text[..end]).ok()?.split_once('.')?;
            let minor = minor.split('.').next()?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        })
        .max()
}

fn control(version: &str, architecture: &str, needs: &str, size: &str) -> String {
    format!(
        "Package: muster-agent\n\
         Version: {version}\n\
         Section: admin\n\
         Priority: optional\n\
         Architecture: {architecture}\n\
         Maintainer: Muster <muster@users.noreply.github.com>\n\
         Installed-Size: {size}\n\
         {needs}\
         Homepage: https://github.com/muster/muster\n\
         Description: agent of the Muster systems manager\n \
         Connects outwards to a Muster server and runs what it is sent: scripts and\n \
         documents. Every run is journaled before it is acknowledged, is executed at\n \
         most once, and survives a restart of the agent. A local policy has the last\n \
         word.\n"
    )
}

fn changelog(root: &Path, version: &str) -> Result<()> {
    let path = root.join("usr/share/doc/muster-agent/changelog");
    let date = process::output(Command::new("date").arg("-R"))?;
    let text = format!(
        "muster-agent ({version}) unstable; urgency=medium\n\n  * Built from the sources of this version.\n\n -- \
         Muster <muster@users.noreply.github.com>  {date}"
    );
    write(&path, &text)?;
    process::run(Command::new("gzip").args(["-9", "-n", "-f"]).arg(&path))
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("{} cannot be copied", from.display()))?;
    fs::set_permissions(to, Permissions::from_mode(mode))?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)?;
    if fs::metadata(path)?.len() == 0 {
        bail!("{} is empty", path.display());
    }
    fs::set_permissions(path, Permissions::from_mode(0o644))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_found_by_number() {
        let program = b"\0GLIBC_2.9\0memcpy\0GLIBC_2.34\0GLIBC_2.2.5\0GLIBC_PRIVATE\0";
        assert_eq!(newest_glibc(program), Some((2, 34)));
        assert_eq!(newest_glibc(b"static"), None);
    }
}
