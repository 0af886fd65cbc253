//! What else keeps parameters or keys, where it is installed: moto's server, which pretends to be AWS, and etcd, which
//! syncs each write.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::load::{Figure, Poster, once, post};
use super::{NAMES, VALUE, get_json, name, put_json};
use crate::report::{Report, tell};

const PATIENCE: Duration = Duration::from_secs(60);

/// A program that answers HTTP. Killed when dropped.
#[derive(Debug)]
struct Other {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures those that are there.
pub(super) async fn run(report: &mut Report, connections: usize) -> Result<()> {
    match moto().await? {
        Some(moto) => {
            let poster = |operation| Poster {
                url: moto.url.clone(),
                operation,
                signed: None,
            };
            // It holds what is asked for only once it was put.
            once(&poster("PutParameter"), put_json).await?;
            let get = post(connections, &poster("GetParameter"), get_json).await?;
            let put = post(connections, &poster("PutParameter"), put_json).await?;
            rows(report, "moto's server", connections, &get, &put);
        }
        None => tell("moto is not installed: MUSTER_TEST_PYTHON names a Python that has it"),
    }
    match etcd().await? {
        Some(etcd) => {
            let poster = |path: &str| Poster {
                url: format!("{}/v3/kv/{path}", etcd.url),
                operation: "",
                signed: None,
            };
            once(&poster("put"), put_key).await?;
            let get = post(connections, &poster("range"), get_key).await?;
            let put = post(connections, &poster("put"), put_key).await?;
            rows(report, "etcd over HTTP", connections, &get, &put);
        }
        None => tell("etcd is not installed"),
    }
    Ok(())
}

fn rows(report: &mut Report, who: &str, connections: usize, get: &Figure, put: &Figure) {
    for (what, figure) in [("read", get), ("write", put)] {
        report.row(
            format!("a {what} by {who}, {connections} connections"),
            figure.to_string(),
            "",
            "for comparison",
        );
    }
}

fn key(number: usize) -> String {
    STANDARD.encode(name(number % NAMES))
}

fn get_key(number: usize) -> Value {
    json!({"key": key(number)})
}

fn put_key(number: usize) -> Value {
    json!({"key": key(number), "value": STANDARD.encode(VALUE)})
}

fn free() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn moto() -> Result<Option<Other>> {
    let python = std::env::var_os("MUSTER_TEST_PYTHON").map(PathBuf::from);
    let Some(python) = python.filter(has_moto) else {
        return Ok(None);
    };
    let port = free()?;
    let mut command = Command::new(python);
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
    start(command, port, tempfile::tempdir()?).await.map(Some)
}

fn has_moto(python: &PathBuf) -> bool {
    let said = Command::new(python).args(["-c", "import moto.server"]).output();
    said.is_ok_and(|said| said.status.success())
}

async fn etcd() -> Result<Option<Other>> {
    if Command::new("etcd").arg("--version").output().is_err() {
        return Ok(None);
    }
    let (port, peers, folder) = (free()?, free()?, tempfile::tempdir()?);
    let (url, peers) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
    let mut command = Command::new("etcd");
    command
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
        .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
        .args(["--initial-cluster", &format!("default={peers}")]);
    start(command, port, folder).await.map(Some)
}

/// Starts a program, and waits until it listens.
async fn start(mut command: Command, port: u16, folder: TempDir) -> Result<Other> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{program} does not start"))?;
    let other = Other {
        child,
        url: format!("http://127.0.0.1:{port}"),
        _folder: folder,
    };
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(other);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("{program} does not listen after {} s", PATIENCE.as_secs())
}
