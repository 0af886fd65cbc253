//! Who descends from a process that we started, where no control group tells (agent.md B4).
//!
//! A process can leave its group with one call, but not its family: this runner reaps orphans, so that whoever is left
//! without parents becomes its child. What earlier scripts left behind on purpose is ours as well by then: it is noted before
//! the start, with its process groups, and is not meant. So whatever such a server starts later is not meant either, even
//! when its parent is gone, unless it makes a group of its own and loses its parent: then nothing tells whose it was.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, getpgrp, kill_process};

/// The family of a process that is about to start.
#[derive(Debug)]
pub(crate) struct Kin {
    older: Older,
}

/// Who was there before the process started.
#[derive(Debug, Default)]
struct Older {
    pids: BTreeSet<u32>,
    groups: BTreeSet<u32>,
}

impl Older {
    /// These, but for the group that we are in ourselves, if one of them is.
    fn of(relatives: &[Relative], own_group: u32) -> Self {
        let groups = relatives.iter().map(|one| one.group);
        Self {
            pids: relatives.iter().map(|one| one.pid).collect(),
            groups: groups.filter(|group| *group != own_group).collect(),
        }
    }

    fn has(&self, one: &Relative) -> bool {
        self.pids.contains(&one.pid) || self.groups.contains(&one.group)
    }
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
        // Mostly there is nobody, so that nobody else need be looked at.
        if children().is_empty() {
            return Self {
                older: Older::default(),
            };
        }
        let older = descendants(std::process::id(), &everybody(), &Older::default());
        let own_group = u32::try_from(getpgrp().as_raw_nonzero().get()).unwrap_or_default();
        Self {
            older: Older::of(&older, own_group),
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
pub(super) fn children() -> Vec<u32> {
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
            let mut one = relative(pid, &fs::read_to_string(process.path().join("stat")).ok()?)?;
            // The first thread may be over while others work on.
            one.is_dead = one.is_dead && !has_living_threads(&process.path().join("task"));
            Some(one)
        })
        .collect()
}

fn has_living_threads(tasks: &Path) -> bool {
    fs::read_dir(tasks).into_iter().flatten().flatten().any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok();
        stat.and_then(|stat| relative(0, &stat)).is_some_and(|one| !one.is_dead)
    })
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

/// Everybody alive who descends from `root`, but for the branches that begin with somebody older.
fn descendants(root: u32, everybody: &[Relative], except: &Older) -> Vec<Relative> {
    let mut found: Vec<Relative> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        let children = everybody.iter().filter(|one| one.parent == parent && one.pid != parent);
        for child in children.filter(|one| !one.is_dead && !except.has(one)) {
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
        let older = Older {
            pids: BTreeSet::from([4]),
            groups: BTreeSet::new(),
        };
        assert_eq!(pids(&descendants(1, &all, &older)), [2, 3]);
    }

    #[test]
    fn a_circle_ends() {
        let all = [one(2, 1), one(3, 2), one(2, 3)];
        assert_eq!(pids(&descendants(1, &all, &Older::default())), [2, 3]);
    }

    #[test]
    fn what_an_older_child_starts_later_is_not_of_the_family() {
        let of_group = |pid, parent, group| Relative {
            group,
            ..one(pid, parent)
        };
        // 2 left 3 behind, a server in the group of 2; the runner is 1.
        let before = [of_group(1, 0, 1), of_group(3, 1, 2), of_group(4, 3, 4)];
        let older = Older::of(&descendants(1, &before, &Older::default()), 1);
        // Later it starts 5, whose parent goes, as does a child of 4; the step starts 7 and 8, which leaves its group.
        let after = [
            of_group(3, 1, 2),
            of_group(5, 1, 2),
            of_group(6, 1, 4),
            of_group(7, 1, 7),
            of_group(8, 1, 8),
        ];
        assert_eq!(pids(&descendants(1, &after, &older)), [7, 8]);
    }

    #[test]
    fn a_process_whose_first_thread_is_over_lives_as_long_as_another() {
        let tasks = tempfile::tempdir().unwrap();
        let thread = |name: &str, state: &str| {
            let folder = tasks.path().join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("stat"), format!("{name} (x) {state} 1 12 12")).unwrap();
        };
        thread("12", "Z");
        assert!(!has_living_threads(tasks.path()));
        thread("13", "S");
        assert!(has_living_threads(tasks.path()));
        thread("13", "X");
        assert!(!has_living_threads(tasks.path()));
    }
}
