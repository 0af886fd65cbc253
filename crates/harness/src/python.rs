//! Servers that nobody here wrote, or that check with other code than ours: Python programs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A Python program that has printed its port.
#[derive(Debug)]
pub struct Python {
    child: Child,
    /// The port that it listens on, on 127.0.0.1.
    pub port: u16,
}

impl Python {
    /// Starts a script that prints its port first; the interpreter is `MUSTER_TEST_PYTHON`, or `python3`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(script: &Path, argument: Option<&str>) -> Self {
        let python = std::env::var_os("MUSTER_TEST_PYTHON").unwrap_or_else(|| "python3".into());
        let mut child = Command::new(&python)
            .arg(script)
            .args(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", python.display()));
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a pipe can be read");
        let port = line.trim().parse().unwrap_or_else(|_| {
            let script = script.display();
            panic!("{script} has not started: MUSTER_TEST_PYTHON must have what xtask/judges/requirements.txt lists")
        });
        Self { child, port }
    }

    /// The address of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
