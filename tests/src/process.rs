//! Child processes of a test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use muster_harness::until;

/// A binary of this workspace, from the folder in which this test was built.
///
/// # Panics
/// If it is not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("a running program has a path");
    let folder = here
        .ancestors()
        .nth(2)
        .expect("tests are built into target/<profile>/deps");
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not built: run `cargo xtask test`, or `cargo build --workspace --bins` before it",
        path.display()
    );
    path
}

/// The Python interpreter with the clients that tests use (nats-py, grpcio, boto3).
#[must_use]
pub fn python() -> PathBuf {
    std::env::var_os("MUSTER_TEST_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

/// A process that is killed when the test is done with it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Starts a program; what it says goes to the end of `<folder>/<name>.log`.
    pub(crate) fn start(name: &str, folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("the test's own folder can be written");
        let errors = file.try_clone().expect("a file can be written from two sides");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self {
            name: name.to_owned(),
            log,
            child: Some(child),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child
            .as_ref()
            .map(Child::id)
            .unwrap_or_else(|| panic!("{} is not running", self.name))
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child that was not waited for can be killed");
            child.wait().expect("a child that was killed can be waited for");
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(
            asked.is_ok_and(|status| status.success()),
            "{} cannot be signalled",
            self.name
        );
        let status = until("it has ended", async || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        })
        .await;
        assert!(status.success(), "{} ended with {status}:\n{}", self.name, self.log());
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Panics with its last words if it ended by itself.
    pub(crate) fn must_live(&mut self) {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        if let Some(status) = ended {
            panic!("{} ended with {status}:\n{}", self.name, self.log());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines of a log in which a service says that it is ready.
pub(crate) fn readies(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| line.contains("\"message\":\"ready\""))
        .collect()
}

/// Where a service listens that has said more than `before` times that it is ready; else the log, to see why not.
pub(crate) fn ready_address(log: &str, before: usize) -> Result<String, String> {
    let not_yet = || format!("it is not ready; its log:\n{log}");
    let last = readies(log).into_iter().skip(before).next_back().ok_or_else(not_yet)?;
    let last: serde_json::Value = serde_json::from_str(last).map_err(|_| not_yet())?;
    last["address"].as_str().map(str::to_owned).ok_or_else(not_yet)
}
