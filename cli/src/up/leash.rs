//! Children that die with us, also when we are killed.
//!
//! The kernel can be asked to kill a process when its parent dies, but only the process itself can ask.
//! So `muster up` starts itself once more as `muster leash …`; that process asks, and becomes the child.
//!
//! What counts as the parent is the thread that started the child: children are started on the main thread only,
//! which lives as long as the process.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

use crate::print;

/// Not shown in `--help`.
const VERB: &str = "leash";

/// A command that becomes `program` on a leash that this process holds.
pub(super) fn command(program: &Path, arguments: &[OsString]) -> tokio::process::Command {
    // This very binary, also after the file was replaced.
    let mut command = tokio::process::Command::new("/proc/self/exe");
    command
        .arg(VERB)
        .arg(getpid().as_raw_nonzero().to_string())
        .arg(program)
        .args(arguments);
    command
}

/// If the process was started by [`command`]: becomes the child. Returns only if that fails, or if it was not.
pub(crate) fn take(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, verb, holder, program, arguments @ ..] = arguments else {
        return None;
    };
    if verb != VERB {
        return None;
    }
    let is_held = set_parent_process_death_signal(Some(Signal::KILL)).is_ok() && is_parent(holder);
    if !is_held {
        // The holder died before it could be asked about.
        return Some(ExitCode::FAILURE);
    }
    let error = Command::new(program).args(arguments).exec();
    print::say(&format!("{} cannot be started: {error}", program.display()));
    Some(ExitCode::FAILURE)
}

fn is_parent(holder: &OsStr) -> bool {
    let holder = holder
        .to_str()
        .and_then(|text| text.parse().ok())
        .and_then(Pid::from_raw);
    holder.is_some() && holder == getppid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn other_verbs_are_left_alone() {
        assert!(take(&words(&["muster", "up", "--agents", "3"])).is_none());
        assert!(take(&words(&["muster", "leash"])).is_none());
    }

    #[test]
    fn only_the_holder_s_own_children_are_on_its_leash() {
        assert!(!is_parent(OsStr::new("1x")));
        assert!(!is_parent(OsStr::new("0")));
        let own = getpid().as_raw_nonzero().to_string();
        assert!(!is_parent(OsStr::new(&own)), "nobody is their own parent");
    }
}
