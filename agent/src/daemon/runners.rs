//! Starting runner processes, finding those that a former agent started, and noticing their end.
//!
//! A runner is held by a pid file descriptor: it tells the end at once, cannot mean another process, and works for
//! processes that are not our children.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, pidfd_open, pidfd_send_signal, waitid, waitpid,
};
use tokio::io::unix::AsyncFd;

use super::nursery::Nursery;
use crate::journal::{History, RunId};
use crate::os;

/// How to start a runner: `<program> <arguments> <state directory> <run>`.
#[derive(Debug, Clone)]
pub struct RunnerCommand {
    /// The program; `/proc/self/exe` is this very binary, also after the file was replaced.
    pub program: PathBuf,
    /// What makes it a runner.
    pub arguments: Vec<OsString>,
}

impl Default for RunnerCommand {
    fn default() -> Self {
        Self {
            program: "/proc/self/exe".into(),
            arguments: vec!["runner".into()],
        }
    }
}

/// Starts runners: from the nursery, or as programs.
#[derive(Debug)]
pub(crate) struct Starter {
    nursery: Option<Nursery>,
    command: RunnerCommand,
    root: PathBuf,
}

impl Starter {
    pub(crate) fn new(nursery: Option<Nursery>, command: RunnerCommand, root: &Path) -> Self {
        Self {
            nursery,
            command,
            root: root.to_owned(),
        }
    }

    /// Starts a runner. `None`: it is over already.
    pub(crate) fn start(&mut self, run: RunId) -> io::Result<Option<RunnerProcess>> {
        if let Some(nursery) = &self.nursery {
            match nursery.start(run) {
                Ok(process) => return process.map(RunnerProcess::hold).transpose(),
                Err(error) => {
                    tracing::error!(%error, "the nursery is lost; runners are started as programs");
                    self.nursery = None;
                }
            }
        }
        // It inherits nothing but the standard error stream.
        let child = Command::new(&self.command.program)
            .args(&self.command.arguments)
            .arg(&self.root)
            .arg(run.to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::NONBLOCK)?;
        RunnerProcess::hold(process).map(Some)
    }

    /// Starts the process that stores outputs which were left behind.
    pub(crate) fn start_uploads(&self) -> io::Result<RunnerProcess> {
        let child = Command::new(&self.command.program)
            .arg("uploads")
            .arg(&self.root)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        RunnerProcess::hold(pidfd_open(Pid::from_child(&child), PidfdFlags::NONBLOCK)?)
    }
}

/// A live runner process.
#[derive(Debug, Clone)]
pub(crate) struct RunnerProcess(Rc<AsyncFd<OwnedFd>>);

impl RunnerProcess {
    /// Finds the runner that the log names; the caller knows that somebody holds the log's lock.
    pub(crate) fn find(history: &History, boot_id: &str) -> Option<Self> {
        let runner = history.runner.as_ref().filter(|runner| runner.boot_id == boot_id)?;
        let pid = Pid::from_raw(i32::try_from(runner.pid).ok()?)?;
        Self::hold(pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?).ok()
    }

    fn hold(process: OwnedFd) -> io::Result<Self> {
        Ok(Self(Rc::new(os::watch_readable(process)?)))
    }

    /// Asks it to stop its run.
    pub(crate) fn terminate(&self) {
        // It may be gone already, which is what we want.
        let _ = pidfd_send_signal(self.0.as_fd(), Signal::TERM);
    }

    /// Waits for its end; the exit code is known only for our own children.
    pub(crate) async fn ended(self) -> Option<i32> {
        if let Err(error) = self.0.readable().await {
            tracing::error!(%error, "cannot wait for a runner");
        }
        let status = waitid(
            WaitId::PidFd(self.0.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
        status.ok().flatten()?.exit_status()
    }
}

/// Buries processes that were left to us because we are the first process of a container.
pub(crate) fn bury_orphans() {
    if rustix::process::getpid().is_init() {
        while let Ok(Some(_)) = waitpid(None, WaitOptions::NOHANG) {}
    }
}
