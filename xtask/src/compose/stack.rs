//! All containers of `docker-compose.yml`, under one project name and one set of ports.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Binaries;
use super::engine::Engine;
use super::images;
use crate::workspace::Profile;
use crate::{nats, process, workspace};

/// The programs that the images hold.
const PROGRAMS: &[&str] = &[
    "muster",
    "muster-gateway",
    "muster-fleet",
    "muster-documents",
    "muster-parameter-store",
    "muster-run-command",
    "muster-fan-out",
    "muster-access",
    "muster-agent",
];

/// One service of `docker-compose.yml` for each image: the others share theirs.
const ONE_OF_EACH_IMAGE: &[&str] = &["nats", "fleet", "web-1"];

/// Where binaries lie that the images are to take; `.dockerignore` lets this folder through.
const STAGED: &str = "containers";

const HEALTHY_WITHIN: Duration = Duration::from_secs(120);

/// The ports that are published on 127.0.0.1, as variables of `docker-compose.yml`, with their defaults.
const PORTS: &[(&str, u16)] = &[
    ("MUSTER_GATEWAY_PORT", 8686),
    ("MUSTER_NATS_PORT", 4222),
    ("MUSTER_FLEET_PORT", 8701),
    ("MUSTER_DOCUMENTS_PORT", 8702),
    ("MUSTER_RUN_COMMAND_PORT", 8703),
    ("MUSTER_FAN_OUT_PORT", 8704),
    ("MUSTER_ACCESS_PORT", 8705),
    ("MUSTER_PARAMETER_STORE_PORT", 8706),
];

/// One set of containers.
#[derive(Debug)]
pub(crate) struct Stack {
    engine: Engine,
    /// Set apart from the user's own stack by a name; that one is called as the compose tool calls it.
    project: Option<String>,
    ports: Vec<(&'static str, u16)>,
    binaries: Binaries,
}

impl Stack {
    /// The one that `docker compose up` in the working copy starts.
    pub(crate) fn of_users(engine: Engine, binaries: Binaries) -> Self {
        let ports = PORTS
            .iter()
            .map(|(name, default)| (*name, set_port(name).unwrap_or(*default)));
        Self {
            engine,
            project: None,
            ports: ports.collect(),
            binaries,
        }
    }

    /// One of its own, on free ports, beside whatever else runs.
    pub(crate) fn of_its_own(engine: Engine, binaries: Binaries) -> Result<Self> {
        // All are held until all are found, so that no port is found twice.
        let mut held = Vec::new();
        let mut ports = Vec::new();
        for (name, _) in PORTS {
            let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port of 127.0.0.1 is free")?;
            ports.push((*name, listener.local_addr()?.port()));
            held.push(listener);
        }
        Ok(Self {
            engine,
            project: Some(format!("muster-check-{}", std::process::id())),
            ports,
            binaries,
        })
    }

    /// The address on 127.0.0.1 of a port of `docker-compose.yml`.
    pub(crate) fn address(&self, variable: &str) -> String {
        let port = self
            .ports
            .iter()
            .find(|(name, _)| *name == variable)
            .map_or(0, |(_, port)| *port);
        format!("127.0.0.1:{port}")
    }

    /// Builds the images.
    pub(crate) fn build(&self) -> Result<()> {
        images::ensure(self.engine, &images::base_image("DEBIAN")?)?;
        match self.binaries {
            Binaries::Build => images::ensure(self.engine, &images::base_image("BUILDER")?)?,
            Binaries::Host => process::timed("staging this machine's binaries", stage)?,
        }
        process::timed("building the images", || {
            process::run(self.compose()?.arg("build").args(ONE_OF_EACH_IMAGE))
        })
    }

    /// Starts the containers and waits until all are healthy.
    pub(crate) fn start(&self) -> Result<()> {
        process::timed("starting the containers", || {
            process::run(self.compose()?.args(["up", "--detach", "--no-build"]))
        })?;
        process::timed("waiting until they are healthy", || {
            process::until(HEALTHY_WITHIN, "all containers are healthy", || self.health())
        })
    }

    /// Stops and removes the containers, and with `volumes` what they stored.
    pub(crate) fn stop(&self, volumes: bool) -> Result<()> {
        let mut command = self.compose()?;
        command.args(["down", "--remove-orphans"]);
        if volumes {
            command.arg("--volumes");
        }
        process::run(&mut command)
    }

    /// Prints the last lines of every container.
    pub(crate) fn print_logs(&self) {
        let printed = self
            .compose()
            .and_then(|mut compose| process::run(compose.args(["logs", "--no-color", "--tail", "40"])));
        if let Err(error) = printed {
            eprintln!("xtask: {error:#}");
        }
    }

    /// Says where everything is.
    pub(crate) fn describe(&self) {
        println!("AWS JSON  http://{}", self.address("MUSTER_GATEWAY_PORT"));
        println!("NATS      nats://{}", self.address("MUSTER_NATS_PORT"));
        println!("gRPC      Fleet {}", self.address("MUSTER_FLEET_PORT"));
        println!("          Documents {}", self.address("MUSTER_DOCUMENTS_PORT"));
        println!("          RunCommand {}", self.address("MUSTER_RUN_COMMAND_PORT"));
        println!("          FanOut {}", self.address("MUSTER_FAN_OUT_PORT"));
    }

    /// The file with the operator's credentials in the container that has the keys, as a text.
    pub(crate) fn operator(&self) -> Result<String> {
        let words = ["exec", "-T", "watcher", "cat", "/trust/creds/operator.creds"];
        process::output(self.compose()?.args(words))
    }

    /// Whether a command succeeds in the container of a service of `docker-compose.yml`.
    pub(crate) fn succeeds_in(&self, service: &str, words: &[&str]) -> Result<bool> {
        Ok(process::succeeds(
            self.compose()?.args(["exec", "-T", service]).args(words),
        ))
    }

    fn compose(&self) -> Result<Command> {
        let mut command = self.engine.compose();
        if let Some(project) = &self.project {
            command.args(["--project-name", project]);
        }
        for (name, port) in &self.ports {
            command.env(name, port.to_string());
        }
        if self.binaries == Binaries::Host {
            // The building stage then only unpacks, so it needs no toolchain.
            command
                .env("MUSTER_IMAGE_BINARIES", "host")
                .env("MUSTER_IMAGE_BUILDER", images::base_image("DEBIAN")?);
        }
        Ok(command)
    }

    fn health(&self) -> Result<()> {
        let ids = process::output(self.compose()?.args(["ps", "--all", "--quiet"]))?;
        let mut list = self.engine.docker();
        list.args(["ps", "--all", "--format", "{{.Names}}\t{{.Status}}"]);
        for id in ids.split_whitespace() {
            list.args(["--filter", &format!("id={id}")]);
        }
        if ids.trim().is_empty() {
            bail!("there are no containers");
        }
        let containers = process::output(&mut list)?;
        let waiting = unhealthy(&containers);
        if !waiting.is_empty() {
            bail!("{}", waiting.join("; "));
        }
        Ok(())
    }
}

/// Containers that are neither up nor done, or say that they are not healthy (yet).
fn unhealthy(list: &str) -> Vec<String> {
    list.lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(_, status)| {
            let is_done = status.starts_with("Exited (0)");
            !(status.starts_with("Up ") || is_done)
                || status.contains("(unhealthy)")
                || status.contains("(health: starting)")
        })
        .map(|(name, status)| format!("{name}: {status}"))
        .collect()
}

fn set_port(name: &str) -> Option<u16> {
    std::env::var(name).ok()?.parse().ok()
}

/// Builds the binaries as the tests do, so that little is left to compile, and lays them, without symbols, where the
/// images take them from.
fn stage() -> Result<()> {
    process::run(&mut workspace::cargo(&["build", "--workspace", "--bins", "--tests"]))?;
    let folder = workspace::own(STAGED);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let built = workspace::binaries(Profile::Dev)?;
    for program in PROGRAMS {
        lay(&built.join(program), &folder.join(program))?;
    }
    lay(&nats::server()?, &folder.join("nats-server"))
}

fn lay(from: &Path, to: &Path) -> Result<()> {
    if !process::succeeds(Command::new("strip").arg("-o").arg(to).arg(from)) {
        std::fs::copy(from, to).with_context(|| format!("{} cannot be copied", from.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_is_not_ready_is_named() {
        let list = "a\tUp 3 seconds (healthy)\nb\tUp 3 seconds\nc\tUp 1 second (health: starting)\nd\tExited (1) 2 s ago\n\
             e\tExited (0) 2 s ago\nf\tCreated\n";
        assert_eq!(
            unhealthy(list),
            [
                "c: Up 1 second (health: starting)",
                "d: Exited (1) 2 s ago",
                "f: Created"
            ]
        );
    }
}
