//! Other processes, as the system shows them.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Live processes of a program whose command line names a folder. Those that only wait for their burial have none.
pub(crate) fn of(program: &str, folder: &Path) -> Vec<u32> {
    let folder = folder.display().to_string();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let found = entries.filter_map(|entry| {
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let name = line.split('\0').next()?;
        (name.ends_with(program) && line.contains(&folder)).then_some(process)
    });
    found.collect()
}

/// The same without the agent's nursery, which calls itself so and ends with the agent.
pub(crate) fn daemons(program: &str, folder: &Path) -> Vec<u32> {
    let mut all = of(program, folder);
    all.retain(|process| {
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        name.trim_end() == program
    });
    all
}

pub(crate) fn send(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw).unwrap();
    kill_process(process, signal).unwrap();
}
