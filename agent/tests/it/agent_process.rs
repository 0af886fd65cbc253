//! An agent as a process of its own, with a state directory that outlives it.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use muster_agent::journal::{self, RunId};
use muster_agent::state::StateDir;
use muster_harness::{Folder, until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// The program under test: the one that was built with the tests, or another build of it that `MUSTER_TEST_AGENT`
/// names, such as the optimised one.
pub(crate) fn program() -> PathBuf {
    other_program().unwrap_or_else(|| env!("CARGO_BIN_EXE_muster-agent").into())
}

/// The build that `MUSTER_TEST_AGENT` names.
pub(crate) fn other_program() -> Option<PathBuf> {
    std::env::var_os("MUSTER_TEST_AGENT").map(PathBuf::from)
}

pub(crate) struct AgentProcess {
    /// What starts it, before its own program; nothing: it is started directly.
    within: Vec<String>,
    folder: Folder,
    server: String,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl AgentProcess {
    pub(crate) fn start(server: &str, settings: &str) -> Self {
        Self::start_in(server, settings, &[])
    }

    /// With variables of its own.
    pub(crate) fn start_in(server: &str, settings: &str, environment: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut agent = Self::prepare(server, settings);
        agent.environment = environment.iter().map(owned).collect();
        agent.launch();
        agent
    }

    /// Started by another program, such as `nsenter`, which becomes the agent.
    pub(crate) fn start_within(within: Vec<String>, server: &str, settings: &str) -> Self {
        let mut agent = Self::prepare(server, settings);
        agent.within = within;
        agent.launch();
        agent
    }

    fn prepare(server: &str, settings: &str) -> Self {
        let folder = Folder::new("agent");
        std::fs::write(folder.join("agent.toml"), settings).unwrap();
        Self {
            within: Vec::new(),
            folder,
            server: server.to_owned(),
            environment: Vec::new(),
            child: None,
        }
    }

    /// Starts it (again) on its state directory.
    pub(crate) fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        let words = self.within.iter().map(PathBuf::from).chain([program()]);
        let words: Vec<PathBuf> = words.collect();
        let child = Command::new(&words[0])
            .args(&words[1..])
            .args(["run", "--server", &self.server, "--name", "box", "--tag", "Role=Web"])
            .arg("--state-dir")
            .arg(self.folder.join("state"))
            .arg("--config")
            .arg(self.folder.join("agent.toml"))
            .env("MUSTER_AGENT_LOG", "debug,async_nats=info")
            .env("AGENT_SECRET", "must not leak")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        until("the agent ends", async || {
            child.try_wait().unwrap().ok_or("it still runs")
        })
        .await
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::at(&self.folder.join("state"))
    }

    /// What the program says to a question about this agent's state directory, and whether it succeeded.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> (bool, String) {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_muster-agent"))
            .args(arguments)
            .arg("--state-dir")
            .arg(self.folder.join("state"))
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("agent.toml")
    }

    /// Whether a text is in no file of the state directory.
    pub(crate) fn nowhere(&self, text: &str) -> bool {
        fn lacks(folder: &std::path::Path, text: &str) -> bool {
            let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.all(|path| match path.is_dir() {
                true => lacks(&path, text),
                // Sockets hold nothing.
                false => !path.is_file() || !String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(text),
            })
        }
        lacks(self.state().root(), text)
    }

    /// A file for scripts to leave traces in.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    pub(crate) fn set_config(&self, settings: &str) {
        std::fs::write(self.folder.join("agent.toml"), settings).unwrap();
        self.hang_up();
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), Signal::HUP).unwrap();
    }

    /// The process id of a run's runner, once it has written itself down.
    pub(crate) async fn runner(&self, run: RunId) -> Pid {
        let path = self.state().journal().open_log(run);
        until("the run has a runner", async || {
            let history = journal::read(&path).map_err(|error| error.to_string())?;
            let runner = history.runner.ok_or("no runner yet")?;
            Ok::<_, String>(pid(runner.pid))
        })
        .await
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        // Whatever a failed test left running.
        for run in self.state().journal().open_runs().unwrap_or_default() {
            let path = self.state().journal().open_log(run);
            if let (Ok(true), Ok(history)) = (journal::is_locked(&path), journal::read(&path)) {
                let group = history.process.map(|process| process.group);
                let runner = history.runner.map(|runner| runner.pid);
                for id in group.into_iter().chain(runner) {
                    let _ = kill_process(pid(id), Signal::KILL);
                }
            }
        }
    }
}

pub(crate) fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

/// The process id that a script wrote to a file.
pub(crate) async fn pid_in(file: &std::path::Path) -> Pid {
    let id = until("the script has written its process id", async || {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        text.strip_suffix('\n').and_then(|text| text.parse().ok()).ok_or(text)
    })
    .await;
    pid(id)
}

/// Whether a process runs; one that is dead and not buried does not.
pub(crate) fn is_alive(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    test_kill_process(process).is_ok() && stat.is_ok_and(|stat| !stat.contains(") Z "))
}

pub(crate) fn kill(process: Pid) {
    let _ = kill_process(process, Signal::KILL);
}

pub(crate) fn ended_well(status: ExitStatus) -> bool {
    status.success() && status.signal().is_none()
}
