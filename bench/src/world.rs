//! `muster up` as a user runs it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use async_nats::Client;
use muster_credential::claims::Permission;
use muster_credential::{Claims, Creds, Key, KeyKind, PublicKey, UserClaims, layout};
use muster_model::{Clock as _, SystemClock};
use serde::Deserialize;
use tempfile::TempDir;

/// A running `muster up` with a folder of its own.
#[derive(Debug)]
pub(crate) struct World {
    child: Child,
    folder: TempDir,
    pub(crate) ready: Ready,
    /// From the start of the binary to the ready file.
    pub(crate) took: Duration,
}

/// What the ready file says.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) gateway: String,
    pub(crate) nats: String,
    /// Where gRPC is served, by the name of the service.
    pub(crate) grpc: BTreeMap<String, String>,
    creds: PathBuf,
    data_dir: PathBuf,
    pub(crate) nodes: Vec<String>,
}

impl World {
    /// Starts everything with this many real agents.
    pub(crate) async fn start(agents: usize) -> Result<Self> {
        Self::start_with(agents, |_| Ok(())).await
    }

    /// The same after something was put into its data directory.
    pub(crate) async fn start_with(agents: usize, prepare: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        prepare(&data)?;
        let file = folder.path().join("ready.json");
        let started = Instant::now();
        let child = Command::new(binary("muster")?)
            .args([
                "up",
                "--listen",
                "127.0.0.1:0",
                "--agents",
                &agents.to_string(),
                "--data-dir",
            ])
            .arg(&data)
            .arg("--ready-file")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("muster up did not start")?;
        let ready = wait_for(&file).await?;
        let took = started.elapsed();
        Ok(Self {
            child,
            folder,
            ready,
            took,
        })
    }

    /// Process id of `muster up`.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) async fn nats(&self) -> Result<Client> {
        let text = std::fs::read_to_string(&self.ready.creds)?;
        let creds = Creds::parse(&text)?;
        let options = async_nats::ConnectOptions::with_credentials(&text)?
            .custom_inbox_prefix(creds.inbox())
            .subscription_capacity(128 * 1024);
        Ok(options.connect(&self.ready.nats).await?)
    }

    /// A file with credentials of simulated agents.
    pub(crate) fn crowd(&self) -> Result<PathBuf> {
        self.user("crowd.creds", layout::crowd)
    }

    /// How a floor connects: with leave for subjects of its own and nothing of Muster's.
    pub(crate) fn floor(&self) -> Result<async_nats::ConnectOptions> {
        let file = self.user("floor.creds", |subject, muster, now| {
            let own = || Permission::only(["floor.>", "_INBOX.>"]);
            Claims {
                name: "floor".to_owned(),
                subject,
                issued_at: now,
                expires_at: None,
                body: UserClaims::with_permissions(muster, own(), own()),
            }
        })?;
        Ok(async_nats::ConnectOptions::with_credentials(&std::fs::read_to_string(
            file,
        )?)?)
    }

    /// Credentials signed with the keys of the data directory.
    fn user(
        &self,
        name: &str,
        claims: impl FnOnce(PublicKey, PublicKey, i64) -> Claims<UserClaims>,
    ) -> Result<PathBuf> {
        let seed = |name: &str| -> Result<Key> {
            let file = self.ready.data_dir.join("trust/keys").join(format!("{name}.seed"));
            Ok(Key::from_seed(&std::fs::read_to_string(file)?, KeyKind::Account)?)
        };
        let (services, muster) = (seed("services")?, seed("MUSTER")?);
        let key = Key::generate(KeyKind::User);
        let claims = claims(
            key.public().clone(),
            muster.public().clone(),
            SystemClock.now().as_second(),
        );
        let creds = Creds::new(claims.sign(&services)?, key)?;
        let file = self.folder.path().join(name);
        std::fs::write(&file, creds.to_text().as_bytes())?;
        Ok(file)
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A clean stop, so that no agent is left behind.
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let _ = self.child.wait();
    }
}

async fn wait_for(file: &Path) -> Result<Ready> {
    let patience = Instant::now();
    while patience.elapsed() < Duration::from_secs(60) {
        if let Ok(text) = std::fs::read_to_string(file) {
            return serde_json::from_str(&text).context("the ready file cannot be read");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("muster up was not ready within a minute")
}

/// A binary of this workspace, built with the same profile as this one.
pub(crate) fn binary(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.with_file_name(name);
    if path.exists() {
        Ok(path)
    } else {
        bail!("{name} is not built: run cargo xtask bench")
    }
}

/// Resident and proportional memory, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Memory {
    pub(crate) proportional: u64,
    pub(crate) resident: u64,
}

impl Memory {
    /// Of one process.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let read = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.trim().strip_suffix("kB")?.trim().parse().ok())
                .unwrap_or_default()
        };
        Ok(Self {
            proportional: read("Pss:"),
            resident: read("Rss:"),
        })
    }

    /// Of several processes together.
    pub(crate) fn of_all(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let one = Self::of(*pid)?;
            sum.proportional += one.proportional;
            sum.resident += one.resident;
        }
        Ok(sum)
    }
}

/// The most memory that a process ever had resident, in KiB; none if it has ended.
pub(crate) fn highest(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The processes of each agent that works below this folder: the daemon and its nursery share a command line.
pub(crate) fn agents(folder: &Path) -> Result<Vec<Vec<u32>>> {
    let folder = folder.display().to_string();
    let mut agents: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let line = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let is_agent = line
            .split('\0')
            .next()
            .is_some_and(|program| program.ends_with("muster-agent"));
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let (true, true, Some(pid)) = (is_agent, line.contains(&folder), pid) {
            agents.entry(line).or_default().push(pid);
        }
    }
    Ok(agents.into_values().collect())
}

/// Time that a process has spent on a processor since its start.
pub(crate) fn busy(pid: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |kib: u64| Duration::from_millis(kib).as_secs_f64() * 1_000.0 / 1_024.0;
        let (resident, proportional) = (mib(self.resident), mib(self.proportional));
        write!(f, "{resident:.1} MiB resident, {proportional:.1} MiB proportional")
    }
}
