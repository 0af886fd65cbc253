//! Who descends from a process that we started, where no control group tells (agent.md B4).
//!
//! A process can leave its group with one call, but not its family: this runner reaps orphans, so that whoever is left
//! without parents becomes its child. Children that earlier scripts left behind on purpose are ours as well by then;
//! they are noted before the start and are not meant.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// The family of a process that is about to start.
#[derive(Debug)]
pub(crate) struct Kin {
    /// Children of ours that were there before.
    older: BTreeSet<u32>,
}

/// A process as `/proc` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Relative {
    pid: u32,
    parent: u32,
    group: u32,
    is_dead: bool,
}

impl Kin {
    /// To be called before the process starts.
    pub(crate) fn before_start() -> Self {
        Self {
            older: children().into_iter().collect(),
        }
    }

    /// Signals everybody who lives outside the process group `but`, which is signalled as a whole.
    pub(crate) fn signal(&self, signal: Signal, but: u32) {
        for one in self.living().into_iter().filter(|one| one.group != but) {
            if let Some(pid) = i32::try_from(one.pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// Whether nobody lives. The dead that are not buried do not count.
    pub(crate) fn is_empty(&self) -> bool {
        self.living().is_empty()
    }

    fn living(&self) -> Vec<Relative> {
        descendants(std::process::id(), &everybody(), &self.older)
    }
}

/// Our own children. The kernel lists them by threads where it was built for that; otherwise everybody is looked at.
fn children() -> Vec<u32> {
    let by_threads = || {
        let mut children = Vec::new();
        for thread in fs::read_dir("/proc/self/task").ok()? {
            let list = fs::read_to_string(thread.ok()?.path().join("children")).ok()?;
            children.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        Some(children)
    };
    let me = std::process::id();
    by_threads().unwrap_or_else(|| {
        let ours = everybody().into_iter().filter(|one| one.parent == me);
        ours.map(|one| one.pid).collect()
    })
}

fn everybody() -> Vec<Relative> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            relative(pid, &fs::read_to_string(process.path().join("stat")).ok()?)
        })
        .collect()
}

/// Reads a line of `/proc/<pid>/stat`: after the command's name, which may hold blanks, come state, parent and group.
fn relative(pid: u32, stat: &str) -> Option<Relative> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Relative {
        pid,
        parent,
        group,
        is_dead,
    })
}

/// Everybody alive who descends from `root`, but for the branches that begin with one of `except`.
fn descendants(root: u32, everybody: &[Relative], except: &BTreeSet<u32>) -> Vec<Relative> {
    let mut found: Vec<Relative> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        let children = everybody.iter().filter(|one| one.parent == parent && one.pid != parent);
        for child in children.filter(|one| !one.is_dead && !except.contains(&one.pid)) {
            // A list that is read while it changes may hold a circle.
            if !found.iter().any(|one| one.pid == child.pid) {
                found.push(*child);
                parents.push(child.pid);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pid: u32, parent: u32) -> Relative {
        Relative {
            pid,
            parent,
            group: 12,
            is_dead: false,
        }
    }

    fn pids(found: &[Relative]) -> Vec<u32> {
        let mut pids: Vec<u32> = found.iter().map(|one| one.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn a_line_tells_parent_and_state_whatever_the_name() {
        let line = "12 (a) b (c)) S 7 12 12 0 -1";
        assert_eq!(relative(12, line), Some(one(12, 7)));
        assert!(relative(12, "12 (x) Z 7 12 12").unwrap().is_dead);
        assert_eq!(relative(12, "12 x"), None);
    }

    #[test]
    fn the_family_is_everybody_below_but_for_the_older_branches_and_the_dead() {
        let dead = Relative {
            is_dead: true,
            ..one(6, 1)
        };
        let all = [one(2, 1), one(3, 2), one(4, 1), one(5, 4), dead, one(9, 8), one(1, 0)];
        assert_eq!(pids(&descendants(1, &all, &BTreeSet::from([4]))), [2, 3]);
    }

    #[test]
    fn a_circle_ends() {
        let all = [one(2, 1), one(3, 2), one(2, 3)];
        assert_eq!(pids(&descendants(1, &all, &BTreeSet::new())), [2, 3]);
    }
}
