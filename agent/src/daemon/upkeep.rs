//! What may be removed from the disk (agent.md B5): finished runs only, the oldest first.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use muster_model::{Clock, SystemClock, Timestamp};

use super::agent::{Agent, Event};
use crate::journal::{self, RunId};
use crate::state::StateDir;

/// How long a finished run is remembered after its deadline, so that it is recognised if it is delivered again.
const MEMORY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Agent {
    /// Looks after the disk, on a thread that may wait for it.
    pub(super) fn look_after_disk(&mut self) {
        let (state, settings) = (self.state.clone(), self.settings.clone());
        let work = tokio::task::spawn_blocking(move || {
            clean(&state, SystemClock.now(), settings.quota_bytes, settings.quota_entries)
        });
        self.tasks.push(Box::pin(async move {
            match work.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "cannot look after the state directory"),
                Err(panic) => tracing::error!(%panic, "looking after the state directory failed"),
            }
            Event::UpkeepDone
        }));
    }
}

/// A finished run's place on the disk.
struct Remains {
    run: RunId,
    ended: Timestamp,
    bytes: u64,
    entries: u64,
}

/// Forgets runs whose time has passed; then removes the files of the oldest finished runs until the rest fits.
fn clean(state: &StateDir, now: Timestamp, quota_bytes: u64, quota_entries: u64) -> io::Result<()> {
    let mut remains = Vec::new();
    for run in state.journal().done_runs()? {
        let log = state.journal().done_log(run);
        // A run may be reopened at any moment: whatever has gone from `done` is left alone.
        let Ok(about) = fs::metadata(&log) else { continue };
        let ended = about
            .modified()
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok())
            .unwrap_or(now);
        if is_older(ended, now) && deadline(&log).is_none_or(|deadline| is_older(deadline, now)) {
            remove_directory(&state.run(run))?;
            state.journal().forget(run)?;
            continue;
        }
        let (bytes, entries) = measure(&state.run(run))?;
        remains.push(Remains {
            run,
            ended,
            bytes: bytes + about.len(),
            entries: entries + 1,
        });
    }
    let open = state.journal().open_runs()?;
    let (mut bytes, mut entries) = (0, 0);
    for run in open {
        let (more_bytes, more_entries) = measure(&state.run(run))?;
        bytes += more_bytes;
        entries += more_entries;
    }
    bytes += remains.iter().map(|run| run.bytes).sum::<u64>();
    entries += remains.iter().map(|run| run.entries).sum::<u64>();
    remains.sort_by_key(|run| run.ended);
    for run in remains {
        if bytes <= quota_bytes && entries <= quota_entries {
            break;
        }
        // The log stays: it is small, and without it the run might be executed again.
        let (freed_bytes, freed_entries) = measure(&state.run(run.run))?;
        remove_directory(&state.run(run.run))?;
        bytes -= freed_bytes;
        entries -= freed_entries;
    }
    Ok(())
}

fn is_older(moment: Timestamp, now: Timestamp) -> bool {
    now.duration_since(moment).unsigned_abs() > MEMORY && moment < now
}

fn deadline(log: &Path) -> Option<Timestamp> {
    let history = journal::read(log).ok()?;
    Timestamp::from_millisecond(history.accepted?.deadline?.clock_ms).ok()
}

/// Bytes and entries of a directory and what is in it.
fn measure(directory: &Path) -> io::Result<(u64, u64)> {
    let listing = match fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        Err(error) => return Err(error),
    };
    let (mut bytes, mut entries) = (0, 1);
    for entry in listing {
        let entry = entry?;
        let about = match entry.metadata() {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if about.is_dir() {
            let (more_bytes, more_entries) = measure(&entry.path())?;
            bytes += more_bytes;
            entries += more_entries;
        } else {
            bytes += about.len();
            entries += 1;
        }
    }
    Ok((bytes, entries))
}

fn remove_directory(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use muster_model::SignedDuration;

    use super::*;
    use crate::journal::{Accepted, Deadline, Fact};

    /// A finished run with an output of `bytes`, and when its log says it had to start.
    fn finished(state: &StateDir, bytes: usize, deadline: Timestamp) -> RunId {
        let run = RunId::random();
        let clock_ms = deadline.as_millisecond();
        let deadline = Some(Deadline {
            boot_id: "other".into(),
            up_ms: 0,
            clock_ms,
        });
        let accepted = Fact::Accepted(Accepted {
            deadline,
            ..Accepted::default()
        });
        state.journal().begin([(run, &accepted)]).unwrap();
        state.journal().close(run).unwrap();
        fs::create_dir_all(state.run(run).join("a/b")).unwrap();
        fs::write(state.run(run).join("a/b/stdout"), vec![0; bytes]).unwrap();
        run
    }

    fn state() -> (tempfile::TempDir, StateDir) {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::at(root.path());
        state.prepare().unwrap();
        (root, state)
    }

    #[test]
    fn the_oldest_outputs_go_first_and_their_logs_stay() {
        let (_root, state) = state();
        let now = SystemClock.now();
        let [old, new] = [(); 2].map(|()| {
            let run = finished(&state, 10_000, now);
            // Modification times must differ.
            while fs::metadata(state.journal().done_log(run)).unwrap().modified().unwrap()
                >= std::time::SystemTime::from(SystemClock.now())
            {}
            run
        });
        clean(&state, now, 15_000, 1_000).unwrap();
        assert!(!state.run(old).exists() && state.run(new).exists());
        assert_eq!(state.journal().done_runs().unwrap().len(), 2);
        clean(&state, now, 1 << 30, 3).unwrap();
        assert!(!state.run(new).exists(), "entries are bounded too");
    }

    #[test]
    fn a_run_is_forgotten_a_week_after_its_deadline_and_its_end() {
        let (_root, state) = state();
        let now = SystemClock.now();
        let early = finished(&state, 1, now);
        let late = finished(&state, 1, now + SignedDuration::from_hours(48));
        clean(&state, now + SignedDuration::from_hours(24 * 6), 1 << 30, 1_000).unwrap();
        assert_eq!(state.journal().done_runs().unwrap().len(), 2);
        clean(&state, now + SignedDuration::from_hours(24 * 8), 1 << 30, 1_000).unwrap();
        assert_eq!(state.journal().done_runs().unwrap(), [late]);
        assert!(!state.run(early).exists());
    }
}
