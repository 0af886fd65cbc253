//! A child process that is started again when it dies unasked.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::error::UpError;
use super::leash;
use crate::print;

/// Who lives longer than this was not started in vain.
const GOOD_LIFE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How much of the end of a log is searched for last words.
const TAIL: u64 = 4096;

/// A child process.
#[derive(Debug)]
pub(super) struct Child {
    /// For messages: "nats-server", "agent web-1".
    what: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    log: (PathBuf, File),
    process: Option<tokio::process::Child>,
    started: Instant,
    /// Times in a row that it died young.
    died_young: u32,
}

impl Child {
    /// A child that is not started yet. What it writes goes to the log.
    pub(super) fn new(what: String, program: PathBuf, arguments: Vec<OsString>, log: (PathBuf, File)) -> Self {
        Self {
            what,
            program,
            arguments,
            log,
            process: None,
            started: Instant::now(),
            died_young: 0,
        }
    }

    pub(super) fn start(&mut self) -> Result<(), UpError> {
        let spawned = self.spawn().map_err(|source| UpError::Spawn {
            what: self.what.clone(),
            source,
        })?;
        self.process = Some(spawned);
        self.started = Instant::now();
        Ok(())
    }

    fn spawn(&self) -> std::io::Result<tokio::process::Child> {
        let (out, errors) = (self.log.1.try_clone()?, self.log.1.try_clone()?);
        leash::command(&self.program, &self.arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            // Ctrl-C is for us; children are told in their turn.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// Waits for its death; never returns while it lives or is not started.
    pub(super) async fn died(&mut self) -> ExitStatus {
        let Some(process) = &mut self.process else {
            return std::future::pending().await;
        };
        match process.wait().await {
            Ok(status) => {
                self.process = None;
                status
            }
            // Waiting for a child fails only if somebody else has waited for it, and nobody does.
            Err(_) => std::future::pending().await,
        }
    }

    /// Why it ended at once, with its last words.
    pub(super) fn ended(&self, status: ExitStatus) -> UpError {
        UpError::Ended {
            what: self.what.clone(),
            status,
            last_words: last_line(&self.log.0),
        }
    }

    /// Starts it again whenever it dies, at once or, if it dies young again and again, after a pause.
    pub(super) async fn keep(&mut self) -> Infallible {
        loop {
            if self.process.is_some() {
                let status = self.died().await;
                print::say(&format!("{} ended ({status}); starting it again", self.what));
            }
            self.died_young = match self.started.elapsed() < GOOD_LIFE {
                true => self.died_young.saturating_add(1),
                false => 0,
            };
            tokio::time::sleep(pause(self.died_young)).await;
            if let Err(error) = self.start() {
                print::say(&format!("{}: {error}", self.what));
                self.started = Instant::now();
            }
        }
    }

    /// Asks it to end; after `grace` it is not asked any more.
    pub(super) async fn stop(&mut self, grace: Duration) {
        let Some(process) = &mut self.process else {
            return;
        };
        let id = process
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have died by itself just now, which is what we want.
            let _ = kill_process(id, Signal::TERM);
        }
        if tokio::time::timeout(grace, process.wait()).await.is_err() {
            print::say(&format!("{} does not end; killing it", self.what));
            let _ = process.kill().await;
        }
        self.process = None;
    }
}

fn pause(died_young: u32) -> Duration {
    match died_young {
        0 | 1 => Duration::ZERO,
        times => {
            let doubled = 2_u32.saturating_pow((times - 2).min(16));
            FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
        }
    }
}

/// The last line of a log.
fn last_line(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    print::harmless(text.lines().next_back().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_is_forgiven_and_the_pauses_are_bounded() {
        assert_eq!(pause(0), Duration::ZERO);
        assert_eq!(pause(1), Duration::ZERO);
        assert_eq!(pause(2), FIRST_PAUSE);
        assert_eq!(pause(3), 2 * FIRST_PAUSE);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn last_words_are_the_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, format!("{}\nout of memory\n", "x".repeat(9000))).unwrap();
        assert_eq!(last_line(&log), "out of memory");
        assert_eq!(last_line(&folder.path().join("none")), "");
    }
}
