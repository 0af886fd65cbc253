//! A running `muster up`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use muster_harness::{Folder, until};
use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Command as AsyncCommand;

use crate::processes;
use crate::program::{Said, muster};

/// A `muster up` with a folder of its own; it is stopped at the end.
pub(crate) struct World {
    process: Process,
    pub(crate) ready: Value,
    folder: Folder,
}

/// Killed when the test is done with it; its children die with it.
struct Process(Option<Child>);

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl World {
    /// Starts it and waits until everything answers.
    pub(crate) async fn start(agents: u32) -> Self {
        Self::start_in(Folder::new("up"), agents).await
    }

    async fn start_in(folder: Folder, agents: u32) -> Self {
        let agent = Path::new(env!("CARGO_BIN_EXE_muster")).with_file_name("muster-agent");
        assert!(
            agents == 0 || agent.is_file(),
            "{} is not built: run `cargo xtask test`, or `cargo build --package muster-agent` before it",
            agent.display()
        );
        let ready_file = folder.join("ready.json");
        let mut child = up(&folder)
            .args(["--agents", &agents.to_string()])
            .arg("--ready-file")
            .arg(&ready_file)
            // The program's own variable for finding a server must not disturb the services' settings.
            .env("MUSTER_SERVER", "nats://127.0.0.1:1")
            .spawn()
            .unwrap();
        let ready = until("the ready file is written", async || {
            if let Ok(Some(status)) = child.try_wait() {
                let stderr = std::fs::read_to_string(folder.join("stderr")).unwrap_or_default();
                panic!("muster up ended with {status}: {stderr}");
            }
            let text = std::fs::read(&ready_file).map_err(|error| error.to_string())?;
            Ok::<Value, String>(serde_json::from_slice(&text).expect("the file appears whole"))
        })
        .await;
        Self {
            process: Process(Some(child)),
            ready,
            folder,
        }
    }

    /// Starts again on the same data, after the end.
    pub(crate) async fn start_again(self, agents: u32) -> Self {
        assert!(self.process.0.is_none(), "end it before it is started again");
        Self::start_in(self.folder, agents).await
    }

    /// The folder of its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn nats(&self) -> &str {
        self.ready["nats"].as_str().unwrap()
    }

    /// A verb that talks to this server.
    pub(crate) fn verb(&self, words: &[&str]) -> AsyncCommand {
        let mut command = muster(self.folder.path());
        command
            .env("MUSTER_SERVER", self.nats())
            .env("MUSTER_CREDS", self.ready["creds"].as_str().unwrap())
            .args(words);
        AsyncCommand::from(command)
    }

    /// Runs a verb to its end.
    pub(crate) async fn muster(&self, words: &[&str]) -> Said {
        Said::of(&self.verb(words).output().await.unwrap())
    }

    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(self.folder.join("stdout")).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.join("stderr")).unwrap()
    }

    /// Sends a signal and waits for the end; gives the exit code if there is one.
    pub(crate) async fn end(&mut self, signal: Signal) -> Option<i32> {
        let mut child = self.process.0.take().unwrap();
        processes::send(child.id(), signal);
        let status = until("muster up has ended", async || {
            child.try_wait().unwrap().ok_or("it runs")
        })
        .await;
        status.code()
    }
}

/// `muster up` on a folder, on any port.
pub(crate) fn up(folder: &Folder) -> Command {
    let file = |name: &str| Stdio::from(File::create(folder.join(name)).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.join("data"))
        .stdin(Stdio::null())
        .stdout(file("stdout"))
        .stderr(file("stderr"));
    command
}
