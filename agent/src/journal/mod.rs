//! The journal: one small log per run, written before anything is promised (agent.md B2, B3, B6).
//!
//! ```text
//! journal/open/<run>     runs that are not finished, or whose news is not confirmed: queue, runs and outbox in one
//! journal/done/<run>     finished and confirmed; kept so that a run that is delivered again is recognised
//! journal/cancel/<run>   a mark: this run is to be cancelled
//! journal/ledger         finished runs whose logs had to make room, one line each
//! ```
//!
//! Where a log lies tells its state, so that starting reads only what is open, and ten thousand finished runs cost no
//! memory.
//! The logs are flat files because each directory would cost one more sync per run: accepting takes one `fdatasync` for
//! the log and one `fsync` for the directory, however many runs are accepted together.
//! A log is appended to by its runner, under the file's lock; before there is a runner, and after the end, by nobody.

mod entry;
mod frame;
mod history;
mod ledger;
mod log;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use muster_model::RolloutId;

pub use entry::{Accepted, Deadline, Dropped, Entry, Fact, Moment, Process, RebootAsked, RebootRefused, Runner};
pub use history::History;
pub use ledger::{Closed, Ledger};
pub use log::{Log, is_locked, read};

/// A run's name: the coordinator's rollout. Being a UUID it is safe as a file name.
pub type RunId = RolloutId;

/// The journal's directories.
#[derive(Debug, Clone)]
pub struct Journal {
    open: PathBuf,
    done: PathBuf,
    cancel: PathBuf,
    ledger: PathBuf,
}

impl Journal {
    /// The journal below `root`, which need not exist yet.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self {
            open: root.join("open"),
            done: root.join("done"),
            cancel: root.join("cancel"),
            ledger: root.join("ledger"),
        }
    }

    /// Makes the directories.
    ///
    /// # Errors
    /// What the file system says.
    pub fn prepare(&self) -> io::Result<()> {
        for directory in [&self.open, &self.done, &self.cancel] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        Ok(())
    }

    /// The log of a run that is not finished and confirmed.
    #[must_use]
    pub fn open_log(&self, run: RunId) -> PathBuf {
        self.open.join(run.to_string())
    }

    /// The log of a run that is.
    #[must_use]
    pub fn done_log(&self, run: RunId) -> PathBuf {
        self.done.join(run.to_string())
    }

    /// The mark that cancels a run.
    #[must_use]
    pub fn cancel_mark(&self, run: RunId) -> PathBuf {
        self.cancel.join(run.to_string())
    }

    /// Begins the logs of new runs. When this returns they survive a power cut.
    /// A run that has a log already keeps it, whatever it says.
    ///
    /// # Errors
    /// What the file system says; then none of the runs may be acknowledged.
    pub fn begin<'a>(&self, runs: impl IntoIterator<Item = (RunId, &'a Fact)>) -> io::Result<()> {
        for (run, first) in runs {
            let path = self.open_log(run);
            let mut log = match Log::create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // Left by an attempt that failed after or within this run: nobody was told about it.
                    if !read(&path)?.is_empty() {
                        File::open(&path)?.sync_all()?;
                        continue;
                    }
                    fs::remove_file(&path)?;
                    Log::create(&path)?
                }
                other => other?,
            };
            log.add(first.clone());
            log.commit()?;
        }
        File::open(&self.open)?.sync_all()
    }

    /// Marks a run as cancelled, durably.
    ///
    /// # Errors
    /// What the file system says.
    pub fn mark_cancelled(&self, run: RunId) -> io::Result<()> {
        File::create(self.cancel_mark(run))?;
        File::open(&self.cancel)?.sync_all()
    }

    /// Files a run away whose end is confirmed. A power cut may undo it, and then the end is sent once more.
    ///
    /// # Errors
    /// What the file system says.
    pub fn close(&self, run: RunId) -> io::Result<()> {
        fs::rename(self.open_log(run), self.done_log(run))?;
        match fs::remove_file(self.cancel_mark(run)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes a run out again, so that its end is told once more. `false`: there is no such run.
    ///
    /// # Errors
    /// What the file system says.
    pub fn reopen(&self, run: RunId) -> io::Result<bool> {
        match fs::rename(self.done_log(run), self.open_log(run)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Forgets a run.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget(&self, run: RunId) -> io::Result<()> {
        fs::remove_file(self.done_log(run))
    }

    /// The file of the ledger.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.ledger.clone()
    }

    /// The runs that have a mark, in no order.
    ///
    /// # Errors
    /// What the file system says.
    pub fn cancelled_runs(&self) -> io::Result<Vec<RunId>> {
        runs_in(&self.cancel)
    }

    /// The runs that are open, in no order.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open_runs(&self) -> io::Result<Vec<RunId>> {
        runs_in(&self.open)
    }

    /// The runs that are done, in no order.
    ///
    /// # Errors
    /// What the file system says.
    pub fn done_runs(&self) -> io::Result<Vec<RunId>> {
        runs_in(&self.done)
    }
}

fn runs_in(directory: &Path) -> io::Result<Vec<RunId>> {
    let mut runs = Vec::new();
    for file in fs::read_dir(directory)? {
        // Whatever else lies there is not ours to touch.
        runs.extend(file?.file_name().to_str().and_then(|name| RunId::from_str(name).ok()));
    }
    Ok(runs)
}

#[cfg(test)]
mod tests;
