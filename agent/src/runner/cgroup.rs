//! A control group (version 2) for each script, where there is a place for it (agent.md B1.2, B4).
//!
//! A process group can be left with one call; a control group cannot, so that a timeout ends also those who left.
//! Groups are made only below the directory that the settings name, or below the agent's own group if the service
//! manager has marked it as delegated. Everywhere else process groups have to do.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::process::pause;
use crate::settings::Settings;

/// Where the version 2 hierarchy is mounted, alone or beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// What our groups' names begin with.
const PREFIX: &str = "muster-run-";
/// How often a dying group is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long after SIGKILL a group may take to vanish.
const VANISH: Duration = Duration::from_secs(5);

/// A group of our own.
#[derive(Debug)]
pub(crate) struct Cgroup {
    directory: PathBuf,
}

/// Below which directory groups may be made, if anywhere.
pub(crate) fn place(settings: &Settings) -> Option<PathBuf> {
    if let Some(place) = &settings.cgroup {
        return Some(place.clone());
    }
    let directory = own_directory()?;
    is_delegated(&directory).then_some(directory)
}

/// Our own group's directory, if there is a group of our own.
fn own_directory() -> Option<PathBuf> {
    let own = own_group(&fs::read_to_string("/proc/self/cgroup").ok()?)?;
    let mut directories = MOUNTS.iter().map(|mount| Path::new(mount).join(&own));
    directories.find(|directory| directory.join("cgroup.procs").exists())
}

/// How often the kernel has killed a process for want of memory: in the group below which scripts run, and all groups
/// below that one, where the kernel counts it; otherwise anywhere on this machine.
pub(crate) fn out_of_memory_kills(settings: &Settings) -> u64 {
    let group = settings.cgroup.clone().or_else(own_directory);
    let of_group = group.and_then(|group| kills_in(&fs::read_to_string(group.join("memory.events")).ok()?));
    let of_machine = || kills_in(&fs::read_to_string("/proc/vmstat").ok()?);
    of_group.or_else(of_machine).unwrap_or_default()
}

/// The counter in the text of `memory.events` or of `/proc/vmstat`.
fn kills_in(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// The path of our version 2 group in the text of `/proc/self/cgroup`; the root is nobody's own.
fn own_group(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // A runner's group may be one of ours already, when it was started from a step.
    let path = path.split(&format!("/{PREFIX}")).next().unwrap_or(path);
    (!path.is_empty()).then(|| path.to_owned())
}

/// Whether the service manager has left the group to us.
fn is_delegated(directory: &Path) -> bool {
    ["trusted.delegate", "user.delegate"].into_iter().any(|name| {
        let mut value = [0; 4];
        matches!(rustix::fs::getxattr(directory, name, &mut value[..]), Ok(1)) && value[0] == b'1'
    })
}

/// Removes groups that nobody is in any more.
pub(crate) fn remove_empty(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            // The kernel refuses where somebody is left.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Ends everybody in the groups of a run but the `known` ones, where earlier scripts left somebody behind on purpose.
pub(crate) fn end_unknown(place: &Path, run: &str, known: &[&str]) {
    let beginning = format!("{PREFIX}{run}.");
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(&beginning) && !known.contains(&name))
        {
            Cgroup {
                directory: entry.path(),
            }
            .end(VANISH);
        }
    }
}

impl Cgroup {
    /// Makes a group, or takes one that is there.
    pub(crate) fn make(place: &Path, name: &str) -> io::Result<Self> {
        let directory = place.join(format!("{PREFIX}{name}"));
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Self { directory }),
        }
    }

    /// What it is called in its place.
    pub(crate) fn name(&self) -> String {
        let name = self.directory.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The file that a process writes "0" to in order to join.
    pub(crate) fn door(&self) -> io::Result<OwnedFd> {
        let file = fs::File::options()
            .write(true)
            .open(self.directory.join("cgroup.procs"))?;
        Ok(file.into())
    }

    /// Signals everybody in it.
    pub(crate) fn signal(&self, signal: Signal) {
        if signal == Signal::KILL && fs::write(self.directory.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        for member in self.members() {
            let _ = kill_process(member, signal);
        }
    }

    /// Whether nobody is in it. The dead that are not buried do not count.
    pub(crate) fn is_empty(&self) -> bool {
        match fs::read_to_string(self.directory.join("cgroup.events")) {
            Ok(events) => !events.lines().any(|line| line == "populated 1"),
            Err(_) => true,
        }
    }

    /// Kills everybody and waits, at most `patience`, until nobody is left.
    fn end(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while !self.is_empty() && Instant::now() < until {
            self.signal(Signal::KILL);
            pause(LOOK);
        }
        self.is_empty()
    }

    fn members(&self) -> Vec<Pid> {
        let list = fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default();
        list.lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?))
            .collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Background children may stay in it; the agent removes it when they are gone.
        let _ = fs::remove_dir(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_in_the_group_of_the_scripts_where_the_kernel_does() {
        let group = tempfile::tempdir().unwrap();
        let settings = Settings {
            cgroup: Some(group.path().to_owned()),
            ..Settings::default()
        };
        let of_machine = out_of_memory_kills(&settings);
        let events = "low 0\nhigh 0\nmax 7\noom 900003\noom_kill 900002\noom_group_kill 0\n";
        fs::write(group.path().join("memory.events"), events).unwrap();
        assert_eq!(out_of_memory_kills(&settings), 900_002);
        assert!(
            of_machine < 900_002,
            "without the file it is the machine's: {of_machine}"
        );
    }

    #[test]
    fn the_own_group_is_the_one_of_version_2() {
        let service = "12:pids:/other\n0::/system.slice/muster-agent.service\n";
        assert_eq!(own_group(service).as_deref(), Some("system.slice/muster-agent.service"));
        assert_eq!(
            own_group("0::/a.service/muster-run-x.y\n").as_deref(),
            Some("a.service")
        );
        assert_eq!(own_group("0::/\n"), None);
        assert_eq!(own_group("1:cpu:/a\n"), None);
    }
}
