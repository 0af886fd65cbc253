//! How many nodes can come back at once: connections with a node's credentials, with and without TLS, beside those that
//! the same server takes from anybody.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_nats::{Client, ConnectOptions};
use futures::StreamExt as _;
use muster_credential::layout::NodeClaims;
use muster_credential::{Creds, Key, KeyKind};
use muster_model::{Clock as _, SystemClock};
use tempfile::TempDir;

use crate::report::{Report, median, ms, percentile, ratio};
use crate::world::binary;

/// Connections of a measurement, kept until its end.
const NODES: usize = 1_000;
/// How many are made at the same time.
const IN_FLIGHT: [usize; 2] = [1, 100];
/// How long claims live, in seconds.
const LIFE: i64 = 3_600;
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let anybody = Server::open().await?;
    let mut floors = Vec::new();
    for in_flight in IN_FLIGHT {
        floors.push(anybody.connect_all(in_flight).await?);
    }
    drop(anybody);
    for (is_encrypted, name) in [(false, "credentials"), (true, "credentials and TLS")] {
        let server = Server::secured(is_encrypted).await?;
        for (in_flight, floor) in IN_FLIGHT.into_iter().zip(&floors) {
            let figure = server.connect_all(in_flight).await?;
            report.row(
                format!("{NODES} nodes connect with {name}, {in_flight} at a time"),
                floor.to_string(),
                figure.to_string(),
                format!("{:.1} ×", ratio(figure.whole, floor.whole)),
            );
        }
    }
    Ok(())
}

/// How long it took, as a whole and for each.
#[derive(Debug)]
struct Taken {
    whole: Duration,
    each: Vec<Duration>,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = NODES as f64 / self.whole.as_secs_f64();
        let (middle, slow) = (median(self.each.clone()), percentile(self.each.clone(), 99));
        write!(f, "{rate:.0}/s, p50 {}, p99 {}", ms(middle), ms(slow))
    }
}

/// A NATS server, ended when dropped.
#[derive(Debug)]
struct Server {
    child: Child,
    folder: TempDir,
    url: String,
    /// Of each node that connects; nobody where everybody may.
    nodes: Vec<Creds>,
    is_encrypted: bool,
}

impl Server {
    /// Which lets everybody in.
    async fn open() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let arguments = ["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"];
        let mut command = program();
        command.args(arguments).arg(folder.path());
        Self::start(command, folder, Vec::new(), false).await
    }

    /// As `muster init` sets it up.
    async fn secured(is_encrypted: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let trust = folder.path().join("trust");
        let mut init = Command::new(binary("muster")?);
        init.arg("init").arg(&trust).args(["--listen", "127.0.0.1:4222"]);
        if is_encrypted {
            init.arg("--tls");
        }
        let made = init.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        ensure!(made.success(), "muster init ended with {made}");
        let nodes = nodes(&trust)?;
        // On any port that is free, whatever the file says.
        let conf = trust.join("nats.conf");
        let text = std::fs::read_to_string(&conf)?.replace("port: 4222", "port: -1");
        std::fs::write(&conf, format!("{text}ports_file_dir: {:?}\n", folder.path()))?;
        let mut command = program();
        command.arg("--config").arg(&conf);
        Self::start(command, folder, nodes, is_encrypted).await
    }

    async fn start(mut command: Command, folder: TempDir, nodes: Vec<Creds>, is_encrypted: bool) -> Result<Self> {
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("nats-server did not start")?;
        let ports = folder.path().join(format!("nats-server_{}.ports", child.id()));
        let mut server = Self {
            child,
            folder,
            url: String::new(),
            nodes,
            is_encrypted,
        };
        let begun = Instant::now();
        let text = loop {
            match std::fs::read_to_string(&ports) {
                Ok(text) if text.ends_with('}') => break text,
                _ => ensure!(begun.elapsed() < PATIENCE, "nats-server did not say its port"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let ports: serde_json::Value = serde_json::from_str(&text)?;
        let urls = [&ports["tls"][0], &ports["nats"][0]];
        let url = urls.iter().find_map(|url| url.as_str());
        let url = url.context("the ports file names no port")?;
        server.url = url.replace("nats://", if is_encrypted { "tls://" } else { "nats://" });
        Ok(server)
    }

    /// Makes all connections and asks something on each: only then it is one.
    async fn connect_all(&self, in_flight: usize) -> Result<Taken> {
        let begun = Instant::now();
        let made = futures::stream::iter(0..NODES).map(async |number| {
            let started = Instant::now();
            let client = self.connect(number).await?;
            client.flush().await?;
            anyhow::Ok((client, started.elapsed()))
        });
        let made: Vec<Result<(Client, Duration)>> = made.buffer_unordered(in_flight).collect().await;
        let whole = begun.elapsed();
        let made: Result<Vec<(Client, Duration)>> = made.into_iter().collect();
        let each = made?.into_iter().map(|(_client, took)| took).collect();
        Ok(Taken { whole, each })
    }

    async fn connect(&self, number: usize) -> Result<Client> {
        let options = match self.nodes.get(number) {
            Some(creds) => ConnectOptions::with_credentials(&creds.to_text())?.custom_inbox_prefix(creds.inbox()),
            None => ConnectOptions::new(),
        };
        let options = match self.is_encrypted {
            true => options.add_root_certificates(self.folder.path().join("trust/tls/ca.pem")),
            false => options,
        };
        Ok(options.connect(&self.url).await?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Command {
    Command::new(std::env::var_os("MUSTER_NATS_SERVER").unwrap_or_else(|| "nats-server".into()))
}

/// Credentials of as many nodes as connect, signed with the scoped key of the folder.
fn nodes(trust: &Path) -> Result<Vec<Creds>> {
    let seed = |name: &str| -> Result<Key> {
        let text = std::fs::read_to_string(trust.join("keys").join(format!("{name}.seed")))?;
        Ok(Key::from_seed(&text, KeyKind::Account)?)
    };
    let (scoped, muster) = (seed("nodes")?, seed("MUSTER")?);
    let mut nodes = Vec::with_capacity(NODES);
    for number in 0..NODES {
        let claims = NodeClaims {
            node: &format!("mi-{number:017x}"),
            tags: Vec::new(),
            now: SystemClock.now().as_second(),
            life: LIFE,
        };
        nodes.push(claims.creds(Key::generate(KeyKind::User), muster.public(), &scoped)?);
    }
    Ok(nodes)
}
