//! The request to stop a run: SIGTERM to the runner, and a marker that says whether it is a cancel.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use signal_hook::consts::SIGTERM;
use signal_hook::low_level::pipe;

/// Why a run must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody cancelled it.
    Cancelled,
    /// The machine, or whoever owns this process, shuts down.
    Shutdown,
}

/// Turns SIGTERM into something that `poll` can wait for.
#[derive(Debug)]
pub(crate) struct StopSignal {
    pipe: UnixStream,
    marker: PathBuf,
    terminated: bool,
}

impl StopSignal {
    /// Listens from now on. `marker` is the file that makes a stop a cancel.
    pub(crate) fn listen(marker: PathBuf) -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        pipe::register(SIGTERM, write)?;
        Ok(Self {
            pipe: read,
            marker,
            terminated: false,
        })
    }

    /// Whether to stop now, and why.
    pub(crate) fn reason(&mut self) -> Option<Stop> {
        let mut drain = [0; 16];
        while matches!(self.pipe.read(&mut drain), Ok(1..)) {
            self.terminated = true;
        }
        if !self.terminated {
            return None;
        }
        Some(if self.is_cancelled() {
            Stop::Cancelled
        } else {
            Stop::Shutdown
        })
    }

    /// Whether the run was cancelled, be it with a signal or before there was a process to signal.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.marker.exists()
    }
}

impl AsFd for StopSignal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
