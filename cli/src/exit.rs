//! How the program ends.

use std::process::ExitCode;

/// What the exit code tells a script. [`Exit::HELP`] says the same in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; for `run`: every target succeeded.
    Success = 0,
    /// A target failed, a request was refused, or this machine refused something.
    Failed = 1,
    /// The command line is not understood; clap says so itself with the same code.
    Usage = 2,
    /// No node matched; for `policy test`: denied.
    NoMatch = 3,
    /// Timed out or cancelled.
    Unfinished = 4,
    /// The server is not known, not there, or does not answer.
    Unreachable = 5,
    /// The person at the terminal broke off a question, as shells have it: 128 and the number of the signal.
    Interrupted = 130,
}

impl Exit {
    /// For `--help`.
    pub(crate) const HELP: &'static str = "\
Exit codes:
  0  done; for `run`: every target succeeded
  1  a target failed, a request was refused, or a file cannot be read
  2  the command line is not understood
  3  no node matched; for `policy test`: denied
  4  timed out or cancelled
  5  the server is not known, not there, or does not answer
  130  broken off with Ctrl-C where something was asked";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
