//! Running `muster` and looking at what it says.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The only line on stderr.
    pub(crate) fn complaint(&self) -> &str {
        assert_eq!(self.stderr.lines().count(), 1, "one line is expected: {}", self.stderr);
        self.stderr.trim_end()
    }
}

/// The program, in a folder where no server is known.
pub(crate) fn muster(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .current_dir(home)
        .env("HOME", home)
        .env_remove("XDG_DATA_HOME")
        .env_remove("MUSTER_SERVER")
        .env_remove("MUSTER_CREDS")
        .stdin(Stdio::null());
    command
}

/// Runs it where no server is known.
pub(crate) fn alone(words: &[&str]) -> Said {
    let home = TempDir::new().unwrap();
    Said::of(&muster(home.path()).args(words).output().unwrap())
}
