//! The services as separate processes, so that one of them can die.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use muster_agent_sim::{Fleet, FleetSettings, Outcome, Script};
use tempfile::TempDir;

use crate::fan_out;
use crate::report::{Report, median, ms};
use crate::world::binary;

/// Those that a command needs; access has no part in one yet.
const NAMES: [&str; 5] = [
    "muster-fleet",
    "muster-documents",
    "muster-fan-out",
    "muster-run-command",
    "muster-gateway",
];
const PATIENCE: Duration = Duration::from_secs(30);
const NODES: usize = 400;
const WINDOW: usize = 10;

/// The services that a command needs and a NATS server open to everybody, each a process. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Services {
    nats: Child,
    url: String,
    running: BTreeMap<&'static str, Child>,
    folder: TempDir,
}

impl Services {
    pub(crate) async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let program = std::env::var_os("MUSTER_NATS_SERVER").map_or_else(|| "nats-server".into(), PathBuf::from);
        let nats = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("nats-server did not start")?;
        let ports = folder.path().join(format!("nats-server_{}.ports", nats.id()));
        let text = until(|| std::fs::read_to_string(&ports).ok().filter(|text| text.ends_with('}'))).await?;
        let ports: serde_json::Value = serde_json::from_str(&text)?;
        let url = ports["nats"][0]
            .as_str()
            .context("the ports file names no port")?
            .to_owned();
        let mut services = Self {
            nats,
            url,
            running: BTreeMap::new(),
            folder,
        };
        for name in NAMES {
            services.launch(name)?;
        }
        for name in NAMES {
            services.ready(name, 1).await?;
        }
        Ok(services)
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.running.values().map(Child::id)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    fn launch(&mut self, name: &'static str) -> Result<()> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log(name))?;
        let database = self.folder.path().join(format!("{name}.db"));
        let mut command = Command::new(binary(name)?);
        if name == "muster-fleet" {
            // Simulated nodes have no activation.
            command.env("MUSTER_SERVICE__REGISTRATION", "open");
        }
        let child = command
            .env("MUSTER_NATS__URL", &self.url)
            .env("MUSTER_SERVER__LISTEN", "127.0.0.1:0")
            .env("MUSTER_DATABASE__URL", format!("sqlite:{}", database.display()))
            .env("MUSTER_REPLICA", "one")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{name} did not start"))?;
        self.running.insert(name, child);
        Ok(())
    }

    /// Waits until the service has said for the `time`th time that it is ready.
    async fn ready(&self, name: &str, times: usize) -> Result<()> {
        let log = self.log(name);
        until(|| {
            let text = std::fs::read_to_string(&log).ok()?;
            (text.matches("\"message\":\"ready\"").count() >= times).then_some(())
        })
        .await
        .with_context(|| format!("{name} is not ready"))
    }

    fn kill(&mut self, name: &str) -> Result<()> {
        let child = self.running.get_mut(name).context("no such service")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for child in self.running.values_mut().chain([&mut self.nats]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("not within {} s", PATIENCE.as_secs())
}

/// `kill -9` of a service in the middle of a command, started again at once: until the next node begins.
pub(crate) async fn recovery(report: &mut Report, rounds: usize) -> Result<()> {
    let mut services = Services::start().await?;
    let fleet = Fleet::start(FleetSettings {
        nats_url: services.url.clone(),
        credentials: None,
        nodes: NODES,
        connections: 4,
        name: "recovery".to_owned(),
        tags: BTreeMap::from([("Role".to_owned(), "bench".to_owned())]),
        script: Script::always(Outcome::success_after(Duration::from_millis(20))),
    })
    .await?;
    let nats = async_nats::connect(&services.url).await?;
    for victim in ["muster-fan-out", "muster-run-command"] {
        let mut times = Vec::new();
        for round in 0..rounds {
            let before = fleet.executions().len();
            let command = fan_out::send(&nats, WINDOW).await?;
            until(|| (fleet.executions().len() >= before + NODES / 4).then_some(())).await?;
            services.kill(victim)?;
            let killed = Instant::now();
            services.launch(victim)?;
            let died_at = fleet.executions().len();
            // What was on its way when it died ends; what begins after that was given out by the next life.
            until(|| (fleet.executions().len() > died_at + WINDOW).then_some(())).await?;
            times.push(killed.elapsed());
            services.ready(victim, round + 2).await?;
            let id = command.command_id.context("a command without id")?;
            fan_out::wait(&nats, &id).await?;
            ensure!(fleet.executions().len() == before + NODES, "not every node ran it once");
        }
        report.row(
            format!("`kill -9` of {victim} in a command, started again: until work goes on"),
            "",
            ms(median(times)),
            "goal ≤ 2 s",
        );
    }
    fleet.stop().await;
    Ok(())
}
