//! The container tools of this machine.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{process, workspace};

/// `docker` and one of the two forms of its compose tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine {
    compose: &'static [&'static str],
}

impl Engine {
    /// Finds them and asks whether the engine answers.
    pub(crate) fn find() -> Result<Self> {
        if !process::succeeds(Command::new("docker").arg("info")) {
            bail!("no container engine answers: install docker and start it");
        }
        for compose in [&["docker", "compose"] as &[_], &["docker-compose"]] {
            if process::succeeds(words(compose).arg("version")) {
                return Ok(Self { compose });
            }
        }
        bail!("neither `docker compose` nor `docker-compose` is installed");
    }

    /// The compose tool, in the root of the working copy.
    pub(crate) fn compose(self) -> Command {
        words(self.compose)
    }

    /// `docker` itself.
    pub(crate) fn docker(self) -> Command {
        words(&["docker"])
    }
}

fn words(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(workspace::root());
    command
}
