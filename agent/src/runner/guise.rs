//! As whom and within which bounds a process of a step runs: user, resource limits, control group, time (agent.md B4, B10).
//!
//! Whatever an action starts wears one, be it a script, a package's script, docker or git.
//!
//! Files for a process of another user lie in a directory of their own that belongs to that user. What we write ourselves
//! stays in the run's directory, where only we can make files: otherwise somebody could put a link where we are about to
//! write. For the same reason such a directory is handed over when everything is in it, and never written to again.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use muster_document::PlannedPart;
use rustix::process::{Resource, Rlimit};

use super::account::{self, Account, AccountError};
use super::cgroup::{self, Cgroup};
use super::process::Outfit;
use super::script;
use crate::os::{self, Dress, Identity};
use crate::policy::Policy;
use crate::settings::{Limits, Settings};

/// What the processes of one part of a step are started with.
#[derive(Debug)]
pub(crate) struct Guise {
    pub(crate) account: Account,
    /// Whether children that are left when the main process has exited are ended as well.
    pub(crate) ends_orphans: bool,
    /// Absent: we are that user.
    identity: Option<Identity>,
    limits: Vec<(Resource, Rlimit)>,
    /// Below which directory and by which name the part has its control group.
    group: Option<(PathBuf, String)>,
}

impl Guise {
    /// As the user that the part names, else as the node's default; `name` names the control group, `me` is the agent's
    /// own user.
    pub(crate) fn of(
        part: &PlannedPart,
        name: &str,
        settings: &Settings,
        policy: &Policy,
        me: &Account,
    ) -> Result<Self, AccountError> {
        let account = account::choose(part.text("runAs").as_deref(), settings, policy, me)?;
        let identity = account.identity();
        Ok(Self {
            account,
            identity,
            ends_orphans: ends_orphans(part, settings),
            limits: limits(&settings.limits),
            group: cgroup::place(settings).map(|place| (place, name.to_owned())),
        })
    }

    /// As the agent's own user, for an action that is the agent's own work. A part that asks for somebody else is refused:
    /// it must not run as anybody but whom it names.
    pub(crate) fn of_agent(
        part: &PlannedPart,
        name: &str,
        settings: &Settings,
        policy: &Policy,
        me: &Account,
    ) -> Result<Self, AccountError> {
        refuse_others(part, me)?;
        policy.check_user(&me.name)?;
        Ok(Self {
            account: me.clone(),
            identity: None,
            ends_orphans: true,
            limits: limits(&settings.limits),
            group: cgroup::place(settings).map(|place| (place, name.to_owned())),
        })
    }

    /// For one process.
    pub(crate) fn outfit(&self) -> Outfit {
        Outfit {
            dress: Dress {
                identity: self.identity.clone(),
                limits: self.limits.clone(),
                ..Dress::default()
            },
            // A group that cannot be made is no reason not to run: the process group and the family do almost as well.
            cgroup: self
                .group
                .as_ref()
                .and_then(|(place, name)| Cgroup::make(place, name).ok()),
        }
    }

    /// Whether processes run as somebody else than we do.
    pub(crate) fn is_other(&self) -> bool {
        self.identity.is_some()
    }

    /// Writes a file that only the process's user can read: to `plain` if we are that user, otherwise into a directory of
    /// that user's; where it is.
    pub(crate) fn write(&self, plain: PathBuf, text: &str, state: &Path) -> io::Result<PathBuf> {
        let name = plain.file_name().unwrap_or_default().to_os_string();
        let folder = plain.with_extension("d");
        if !self.is_other() {
            script::write(&plain, text)?;
            return Ok(plain);
        }
        let file = folder.join(&name);
        self.folder(&folder, &[(&name.to_string_lossy(), text)], state)?;
        Ok(file)
    }

    /// Makes a new directory that only the process's user can enter, with these files in it. What was there is removed.
    pub(crate) fn folder(&self, path: &Path, files: &[(&str, &str)], state: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if let Some(above) = path.parent() {
            crate::state::make_private_directory(above)?;
        }
        DirBuilder::new().mode(0o700).create(path)?;
        for (name, text) in files {
            let file = path.join(name);
            let mut open = File::options().create_new(true).write(true).mode(0o700).open(&file)?;
            open.write_all(text.as_bytes())?;
            if self.is_other() {
                self.account.own(&file)?;
            }
        }
        if self.is_other() {
            let_pass(path, state)?;
            self.account.own(path)?;
        }
        Ok(())
    }

    /// Lets the process's user, and whoever else is of its group, read a folder of ours. It stays ours, so that nobody can put something else in its place
    /// meanwhile; links are left alone.
    pub(crate) fn show(&self, folder: &Path, state: &Path) -> io::Result<()> {
        if !self.is_other() || !folder.is_dir() {
            return Ok(());
        }
        let_pass(folder, state)?;
        show(folder, &self.account)
    }
}

/// For an action that starts nothing itself: whoever it names cannot be obeyed.
pub(crate) fn refuse_others(part: &PlannedPart, me: &Account) -> Result<(), AccountError> {
    match part.text("runAs").map(|name| name.trim().to_owned()) {
        Some(name) if !name.is_empty() && name != me.name => Err(AccountError::Inapplicable {
            me: me.name.clone(),
            wanted: name,
        }),
        _ => Ok(()),
    }
}

/// Lets others pass through what lies above a path. To pass is not to look: names cannot be listed, and our own files are
/// ours alone.
fn let_pass(path: &Path, state: &Path) -> io::Result<()> {
    for above in path.ancestors().skip(1) {
        fs::set_permissions(above, Permissions::from_mode(0o711))?;
        if above == state {
            break;
        }
    }
    Ok(())
}

fn show(path: &Path, to: &Account) -> io::Result<()> {
    let about = fs::symlink_metadata(path)?;
    if about.is_symlink() {
        return Ok(());
    }
    let mode = about.permissions().mode();
    let more = if about.is_dir() || mode & 0o100 != 0 {
        0o050
    } else {
        0o040
    };
    if about.gid() != to.gid() {
        to.share(path)?;
    }
    if mode & more != more {
        fs::set_permissions(path, Permissions::from_mode(mode | more))?;
    }
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            show(&entry?.path(), to)?;
        }
    }
    Ok(())
}

/// Whether a script could be started now by its default shell as its default user, and why not.
pub(crate) fn try_shell(settings: &Settings) -> Result<(), String> {
    let policy = Policy::default();
    let account = account::choose(None, settings, &policy, &Account::current()).map_err(|error| error.to_string())?;
    let language = muster_document::action::Language::Sh;
    let interpreter = script::interpreter(language, None, settings, "").map_err(|error| error.to_string())?;
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

/// Whether background children are ended with the main process.
fn ends_orphans(part: &PlannedPart, settings: &Settings) -> bool {
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
