//! As whom and within which bounds a script runs: user, resource limits, control group, time (agent.md B4, B10).
//!
//! A script of another user lies in a directory of its own that belongs to that user. What we write ourselves stays in
//! the run's directory, where only we can make files: otherwise a script could put a link where we are about to write.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use muster_document::PlannedPart;
use rustix::process::{Resource, Rlimit};

use super::account::{self, Account, AccountError};
use super::cgroup::{self, Cgroup};
use super::process::Outfit;
use super::script;
use crate::os::{self, Dress};
use crate::policy::Policy;
use crate::settings::{Limits, Settings};

/// What a script is started with.
#[derive(Debug)]
pub(crate) struct Guise {
    pub(crate) account: Account,
    pub(crate) outfit: Outfit,
    is_other: bool,
}

impl Guise {
    /// Decides for one part of a step; `name` names its control group, `me` is the agent's own user.
    pub(crate) fn of(
        part: &PlannedPart,
        name: &str,
        settings: &Settings,
        policy: &Policy,
        me: &Account,
    ) -> Result<Self, AccountError> {
        let account = account::choose(part.text("runAs").as_deref(), settings, policy, me)?;
        // A group that cannot be made is no reason not to run: the process group does almost as well.
        let cgroup = cgroup::place(settings).and_then(|place| Cgroup::make(&place, name).ok());
        let dress = Dress {
            identity: account.identity(),
            limits: limits(&settings.limits),
            ..Dress::default()
        };
        Ok(Self {
            account,
            is_other: dress.identity.is_some(),
            outfit: Outfit { dress, cgroup },
        })
    }

    /// Where the script goes: to `plain` if it is ours, otherwise to a directory that is its user's, and which that
    /// user can reach.
    pub(crate) fn script_file(&self, plain: PathBuf, state: &Path) -> io::Result<PathBuf> {
        if !self.is_other {
            return Ok(plain);
        }
        let directory = plain.with_extension("d");
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        // To pass is not to look: names cannot be listed, and our own files are ours alone.
        for above in directory.ancestors().skip(1) {
            fs::set_permissions(above, Permissions::from_mode(0o711))?;
            if above == state {
                break;
            }
        }
        self.account.own(&directory)?;
        let ending = plain.extension().unwrap_or_default();
        Ok(directory.join("script").with_extension(ending))
    }

    /// Lets the script's user read what was downloaded for the run. All of it is ours, so that nobody can put
    /// something else in its place meanwhile; links are left alone.
    pub(crate) fn show(&self, downloads: &Path) -> io::Result<()> {
        match self.is_other && downloads.is_dir() {
            true => show(downloads),
            false => Ok(()),
        }
    }

    /// Makes the written script its user's.
    pub(crate) fn hand_over(&self, script: &Path) -> io::Result<()> {
        match self.is_other {
            true => self.account.own(script),
            false => Ok(()),
        }
    }
}

/// What a process of an action that is no script is started with: our own user, the node's limits.
pub(crate) fn own_outfit(settings: &Settings) -> Outfit {
    Outfit {
        dress: Dress {
            limits: limits(&settings.limits),
            ..Dress::default()
        },
        cgroup: None,
    }
}

fn show(path: &Path) -> io::Result<()> {
    let about = fs::symlink_metadata(path)?;
    if about.is_symlink() {
        return Ok(());
    }
    let mode = about.permissions().mode();
    let more = if about.is_dir() || mode & 0o100 != 0 {
        0o055
    } else {
        0o044
    };
    if mode & more != more {
        fs::set_permissions(path, Permissions::from_mode(mode | more))?;
    }
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            show(&entry?.path())?;
        }
    }
    Ok(())
}

/// Whether a script could be started now by its default shell as its default user, and why not.
pub(crate) fn try_shell(settings: &Settings) -> Result<(), String> {
    let policy = Policy::default();
    let account = account::choose(None, settings, &policy, &Account::current()).map_err(|error| error.to_string())?;
    let language = muster_document::action::Language::Sh;
    let interpreter =
        script::interpreter(language, None, &settings.default_shell, "").map_err(|error| error.to_string())?;
    let mut command = std::process::Command::new(&interpreter.program);
    command.arg("/dev/null").env_clear().current_dir("/");
    let dress = Dress {
        identity: account.identity(),
        ..Dress::default()
    };
    os::dress(&mut command, dress);
    match command.stdin(std::process::Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{:?} ended with {status}", interpreter.program)),
        Err(error) => Err(format!(
            "cannot start {:?} as {}: {error}",
            interpreter.program, account.name
        )),
    }
}

/// Whether background children are ended with the script.
pub(crate) fn ends_orphans(part: &PlannedPart, settings: &Settings) -> bool {
    match part.text("killOrphans").as_deref() {
        Some("true") => true,
        Some("false") => false,
        _ => settings.kill_orphans,
    }
}

/// How many seconds a part may run on this node.
pub(crate) fn seconds_for(part: &PlannedPart, settings: &Settings, policy: &Policy) -> u64 {
    let most = policy
        .max_timeout_seconds
        .unwrap_or(u64::MAX)
        .min(settings.max_timeout_seconds);
    part.timeout_seconds().min(most)
}

fn limits(limits: &Limits) -> Vec<(Resource, Rlimit)> {
    let all = [
        (Resource::Nofile, limits.open_files),
        (Resource::Nproc, limits.processes),
        (Resource::Fsize, limits.file_bytes),
        (Resource::As, limits.memory_bytes),
        (Resource::Core, limits.core_bytes),
        (Resource::Cpu, limits.cpu_seconds),
    ];
    let set = |(resource, limit): (Resource, Option<u64>)| {
        let limit = Some(limit?);
        Some((
            resource,
            Rlimit {
                current: limit,
                maximum: limit,
            },
        ))
    };
    all.into_iter().filter_map(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_limits_that_were_set_are_set() {
        assert!(limits(&Limits::default()).is_empty());
        let some = Limits {
            processes: Some(7),
            core_bytes: Some(0),
            ..Limits::default()
        };
        let set = limits(&some);
        assert_eq!(set.len(), 2);
        assert_eq!(set[0].1.maximum, Some(7));
    }
}
