//! A PostgreSQL server for one test run: its own folder, a free port of 127.0.0.1, a password of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// A running server; dropping it stops it and deletes its folder.
#[derive(Debug)]
pub(crate) struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    password: String,
}

impl Cluster {
    /// Starts one, installing PostgreSQL first where it is missing and apt-get can do so.
    pub(crate) fn start() -> Result<Self> {
        let programs = match programs() {
            Some(programs) => programs,
            None => install()?,
        };
        let folder =
            PathBuf::from(process::output(as_postgres("mktemp").args(["-d", "-t", "muster-postgres-XXXXXX"]))?.trim());
        let cluster = Self {
            programs,
            port: free_port()?,
            password: random_word()?,
            folder,
        };
        cluster.initialise()?;
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=500",
            cluster.port,
            cluster.folder.display()
        );
        process::output(
            cluster
                .program("pg_ctl")
                .args(["start", "--wait", "--silent", "--options", &options, "--log"])
                .arg(cluster.folder.join("log"))
                .arg("--pgdata")
                .arg(cluster.data()),
        )?;
        Ok(cluster)
    }

    /// Where it is, with its password.
    pub(crate) fn url(&self) -> String {
        format!("postgres://muster:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn program(&self, name: &str) -> Command {
        as_postgres(self.programs.join(name))
    }

    fn initialise(&self) -> Result<()> {
        // The password goes through the environment, so that no process list shows it.
        let file = self.folder.join("password");
        let mut shell = as_postgres("sh");
        shell
            .args(["-c", "umask 077; printf %s \"$MUSTER_PASSWORD\" > \"$0\""])
            .arg(&file)
            .env("MUSTER_PASSWORD", &self.password);
        process::output(&mut shell)?;
        process::output(
            self.program("initdb")
                .args([
                    "--username",
                    "muster",
                    "--auth",
                    "scram-sha-256",
                    "--encoding",
                    "UTF8",
                    "--no-locale",
                ])
                .arg("--pwfile")
                .arg(&file)
                .arg("--pgdata")
                .arg(self.data()),
        )?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stop = process::output(
            self.program("pg_ctl")
                .args(["stop", "--mode", "immediate", "--silent", "--pgdata"])
                .arg(self.data()),
        );
        if let Err(error) = stop {
            eprintln!(
                "xtask: PostgreSQL in {} was not stopped: {error:#}",
                self.folder.display()
            );
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("xtask: {} stays behind: {error}", self.folder.display());
        }
    }
}

/// PostgreSQL refuses to run as root; root runs it as the user that its package made.
fn as_postgres(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The working copy may lie where that user must not look.
    command.current_dir(std::env::temp_dir());
    command
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// The folder of `initdb` and `pg_ctl`: on PATH, or where Debian keeps them, the newest first.
fn programs() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file()));
    on_path.or_else(|| {
        let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .filter_map(Result::ok)
            .map(|entry| entry.path().join("bin"))
            .filter(|folder| folder.join("initdb").is_file())
            .collect();
        versions.sort_by_key(|folder| major(folder));
        versions.pop()
    })
}

/// 15 of `/usr/lib/postgresql/15/bin`.
fn major(folder: &Path) -> u32 {
    folder
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str()?.parse().ok())
        .unwrap_or(0)
}

fn install() -> Result<PathBuf> {
    if !is_root() || !process::succeeds(Command::new("apt-get").arg("--version")) {
        bail!("PostgreSQL is not installed: install it, so that initdb is on PATH");
    }
    process::timed("installing PostgreSQL", || {
        process::output(Command::new("apt-get").args(["update", "--quiet"]))?;
        process::output(
            Command::new("apt-get")
                .args(["install", "--yes", "--quiet", "--no-install-recommends", "postgresql"])
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    })?;
    programs().context("PostgreSQL was installed, but its initdb is not found")
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port of 127.0.0.1 is free")?;
    Ok(listener.local_addr()?.port())
}

fn random_word() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("the system gives no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
