//! What is removed from the disk (agent.md B5): finished runs only, the oldest first.
//!
//! Those with which nothing more is to happen go before those whose news is not confirmed, and these before those with
//! an output that is still to be stored elsewhere.
//! Files of a run go first, when their time has passed or room is needed. Logs stay longer, because without them a run
//! that is delivered again would be executed again; where even they are too many, the oldest become lines of the ledger.

mod stored;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_model::Timestamp;

use crate::journal::{self, Closed, Ledger, RunId};
use crate::report::Disk;
use crate::settings::Settings;
use crate::state::StateDir;

/// How long a finished run is remembered after its deadline, so that it is recognised if it is delivered again; and how
/// long news is kept that nobody takes.
const MEMORY: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// With less than this on the file system everything that may go goes, in bytes.
const LOW: u64 = 32 * 1024 * 1024;

/// What a look at the disk found.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) disk: Disk,
    /// A quota is exceeded although everything has gone that may.
    pub(crate) is_full: bool,
    /// Finished runs whose news nobody took, and whose time has passed.
    pub(crate) stale: Vec<RunId>,
    /// A ledger with more runs in it; their logs go at the next look, when it is known.
    pub(crate) ledger: Option<Ledger>,
}

/// Looks and removes. `known` is the ledger as the agent knows it.
pub(crate) fn tidy(state: &StateDir, now: Timestamp, settings: &Settings, known: &Ledger) -> io::Result<Findings> {
    crate::runner::remove_empty_cgroups(settings);
    let awaited = state.runs_with_pending_uploads()?;
    let mut finished = forget(state, now, settings, known, &awaited)?;
    let open = state.journal().open_runs()?;
    let stale = open.iter().copied().filter(|run| is_stale(state, *run, now)).collect();
    remove_strays(state, now)?;
    let retention = retention(settings);
    let (old, outputs): (Vec<_>, Vec<_>) = stored::outputs(state, settings)?
        .into_iter()
        .partition(|output| is_older(output.written, now, retention));
    for output in old {
        stored::remove(&output.path, state, settings)?;
    }

    let system = rustix::fs::statvfs(state.root())?;
    let quota_bytes = settings.quota_on(system.f_blocks.saturating_mul(system.f_frsize));
    let is_low = system.f_bavail.saturating_mul(system.f_frsize) < LOW;
    let (mut bytes, mut entries) = measure(state.root())?;
    let quota_entries = settings.quota_entries;
    // What comes before the next look must find room, too: that is a twentieth at most (`upkeep`).
    let much = |quota: u64| quota - quota / 16;
    // Some more than necessary, so that there is not a look for every run.
    let enough = |quota: u64| quota - quota / 8;
    let is_over = bytes > much(quota_bytes) || entries > much(quota_entries) || is_low;
    if is_over {
        finished.extend(unconfirmed(state, &open, now, &awaited));
        finished.sort_by_key(|run| (run.left, run.ended));
        let runs = finished.iter().map(|run| Removable {
            left: run.left,
            ended: run.ended,
            what: What::FilesOf(run.run),
        });
        let stored = outputs.into_iter().map(|output| Removable {
            left: Left::Nothing,
            ended: output.written,
            what: What::Stored(output.path),
        });
        let mut removable: Vec<Removable> = runs.chain(stored).collect();
        removable.sort_by_key(|one| (one.left, one.ended));
        for one in removable {
            if bytes <= enough(quota_bytes) && entries <= enough(quota_entries) && !is_low {
                break;
            }
            let (freed_bytes, freed_entries) = one.remove(state, settings)?;
            bytes = bytes.saturating_sub(freed_bytes);
            entries = entries.saturating_sub(freed_entries);
        }
    }
    let disk = Disk {
        bytes,
        quota_bytes,
        entries,
        quota_entries,
    };
    let ledger = match entries > quota_entries {
        true => enter(state, &finished, entries - enough(quota_entries), now, known)?,
        false => forget_entries(state, now, known)?,
    };
    Ok(Findings {
        disk,
        is_full: bytes > quota_bytes || entries > quota_entries,
        stale,
        ledger,
    })
}

/// A finished run that is still there.
struct Finished {
    run: RunId,
    ended: Timestamp,
    /// Whether its end is confirmed; otherwise its log is still needed.
    is_confirmed: bool,
    left: Left,
}

/// What is still to happen with a finished run: the less, the earlier its files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Nothing,
    /// Its end is to be confirmed.
    News,
    /// One of its outputs is to be stored.
    Output,
}

/// Something that may go when room is needed.
struct Removable {
    left: Left,
    ended: Timestamp,
    what: What,
}

enum What {
    FilesOf(RunId),
    /// An output that is stored here.
    Stored(PathBuf),
}

impl Removable {
    /// Removes it; how many bytes and entries that freed.
    fn remove(&self, state: &StateDir, settings: &Settings) -> io::Result<(u64, u64)> {
        match &self.what {
            What::FilesOf(run) => {
                let directory = state.run(*run);
                let freed = measure(&directory)?;
                remove_directory(&directory)?;
                Ok(freed)
            }
            What::Stored(path) => {
                let bytes = fs::metadata(path).map_or(0, |about| about.len());
                Ok((bytes, 1 + stored::remove(path, state, settings)?))
            }
        }
    }
}

/// How long files of a run are kept.
fn retention(settings: &Settings) -> Duration {
    Duration::from_secs(u64::from(settings.retention_days) * 24 * 60 * 60)
}

/// Removes what has been kept long enough; the other finished runs.
fn forget(
    state: &StateDir,
    now: Timestamp,
    settings: &Settings,
    known: &Ledger,
    awaited: &HashSet<RunId>,
) -> io::Result<Vec<Finished>> {
    let retention = retention(settings);
    let mut finished = Vec::new();
    for run in state.journal().done_runs()? {
        let log = state.journal().done_log(run);
        // A run may be reopened at any moment: whatever has gone from `done` is left alone.
        let Ok(about) = fs::metadata(&log) else { continue };
        let ended = modified(&about).unwrap_or(now);
        let is_remembered =
            !is_older(ended, now, MEMORY) || deadline(&log).is_some_and(|deadline| !is_older(deadline, now, MEMORY));
        if !is_remembered || known.get(run).is_some() {
            remove_directory(&state.run(run))?;
            state.journal().forget(run)?;
            continue;
        }
        let is_awaited = awaited.contains(&run);
        if is_older(ended, now, retention) && !is_awaited {
            remove_directory(&state.run(run))?;
        }
        finished.push(Finished {
            run,
            ended,
            is_confirmed: true,
            left: if is_awaited { Left::Output } else { Left::Nothing },
        });
    }
    Ok(finished)
}

/// Runs that are over, and nobody has confirmed it yet.
fn unconfirmed(state: &StateDir, open: &[RunId], now: Timestamp, awaited: &HashSet<RunId>) -> Vec<Finished> {
    let finished = |run: &RunId| {
        let log = state.journal().open_log(*run);
        // One that has gone from `open` is confirmed by now, and its turn comes at the next look.
        let is_finished = journal::read(&log).is_ok_and(|history| history.is_finished());
        let ended = fs::metadata(&log).ok().and_then(|about| modified(&about));
        is_finished.then(|| Finished {
            run: *run,
            ended: ended.unwrap_or(now),
            is_confirmed: false,
            left: if awaited.contains(run) {
                Left::Output
            } else {
                Left::News
            },
        })
    };
    open.iter().filter_map(finished).collect()
}

fn modified(about: &fs::Metadata) -> Option<Timestamp> {
    Timestamp::try_from(about.modified().ok()?).ok()
}

/// Whether the news of an open run need not be told any more.
fn is_stale(state: &StateDir, run: RunId, now: Timestamp) -> bool {
    let log = state.journal().open_log(run);
    let Ok(Ok(written)) = fs::metadata(&log).map(|about| about.modified()) else {
        return false;
    };
    // Most logs are young and need not be read.
    let is_old = Timestamp::try_from(written).is_ok_and(|written| is_older(written, now, MEMORY));
    is_old
        && journal::read(&log).is_ok_and(|history| history.is_finished())
        && deadline(&log).is_none_or(|deadline| is_older(deadline, now, MEMORY))
}

/// Removes directories and marks of runs that have no log.
fn remove_strays(state: &StateDir, now: Timestamp) -> io::Result<()> {
    let journal = state.journal();
    // The directories are listed first: a run that comes meanwhile has its log before its directory.
    let directories = runs_in(&state.runs())?;
    let mut logs: HashSet<RunId> = journal.open_runs()?.into_iter().collect();
    logs.extend(journal.done_runs()?);
    // A run that was reopened between the two listings is in the first one now.
    logs.extend(journal.open_runs()?);
    for run in directories {
        if !logs.contains(&run) {
            remove_directory(&state.run(run))?;
        }
    }
    for run in journal.cancelled_runs()? {
        let mark = journal.cancel_mark(run);
        let written = fs::metadata(&mark).and_then(|about| about.modified());
        let is_old = written.is_ok_and(|time| Timestamp::try_from(time).is_ok_and(|time| is_older(time, now, MEMORY)));
        if is_old && !logs.contains(&run) {
            fs::remove_file(mark)?;
        }
    }
    Ok(())
}

fn runs_in(directory: &Path) -> io::Result<Vec<RunId>> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(directory)? {
        runs.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RunId>().ok()));
    }
    Ok(runs)
}

/// Writes a ledger that knows the oldest finished runs as well, `surplus` of them.
fn enter(
    state: &StateDir,
    finished: &[Finished],
    surplus: u64,
    now: Timestamp,
    known: &Ledger,
) -> io::Result<Option<Ledger>> {
    let mut ledger = known.clone();
    let mut entered = 0;
    for run in finished.iter().filter(|run| run.is_confirmed) {
        if entered >= surplus {
            break;
        }
        let log = state.journal().done_log(run.run);
        let Ok(history) = journal::read(&log) else { continue };
        let until = deadline(&log).map_or(now, |deadline| deadline.max(now));
        let memory = i64::try_from(MEMORY.as_millis()).unwrap_or(i64::MAX);
        let closed = Closed {
            last_sequence: history.last_sequence(),
            until_ms: until.as_millisecond().saturating_add(memory),
            status: history.result().map_or(0, |result| result.status),
        };
        ledger.add(run.run, closed);
        entered += 1;
    }
    if entered == 0 {
        return Ok(None);
    }
    ledger.forget(now.as_millisecond());
    ledger.write(&state.journal().ledger())?;
    Ok(Some(ledger))
}

/// Forgets entries of the ledger whose time has passed.
fn forget_entries(state: &StateDir, now: Timestamp, known: &Ledger) -> io::Result<Option<Ledger>> {
    let mut ledger = known.clone();
    if !ledger.forget(now.as_millisecond()) {
        return Ok(None);
    }
    ledger.write(&state.journal().ledger())?;
    Ok(Some(ledger))
}

fn is_older(moment: Timestamp, now: Timestamp, than: Duration) -> bool {
    now.duration_since(moment).unsigned_abs() > than && moment < now
}

fn deadline(log: &Path) -> Option<Timestamp> {
    let history = journal::read(log).ok()?;
    Timestamp::from_millisecond(history.accepted?.deadline?.clock_ms).ok()
}

/// Bytes and entries of a directory and what is in it. What vanishes meanwhile does not count.
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
mod tests;
