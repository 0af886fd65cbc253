//! The check: a stack of its own, a command over each surface, and what the containers say of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Binaries;
use super::engine::Engine;
use super::stack::Stack;
use super::surface::{self, Surface};
use crate::process;
use crate::python::{self, Judges};

/// The tag by which the commands find their targets.
const TAG: (&str, &str) = ("ServerRole", "WebFrontEnd");
/// The machines of `docker-compose.yml` that have it, and the one that has not.
const TARGETS: [&str; 2] = ["web-1", "web-2"];
const OTHER: &str = "db-1";

const NODES_WITHIN: Duration = Duration::from_secs(60);

/// Builds, starts, asks, and takes everything down whatever came of it.
pub(crate) fn run(engine: Engine, binaries: Binaries) -> Result<()> {
    let judges = python::judges()?;
    let stack = Stack::of_its_own(engine, binaries)?;
    stack.build()?;
    let outcome = stack.start().and_then(|()| ask(&stack, &judges));
    if outcome.is_err() {
        stack.print_logs();
    }
    let stopped = process::timed("taking everything down", || stack.stop(true));
    outcome.and(stopped)?;
    println!("xtask: compose check: {} passed, 0 failed", Surface::ALL.len());
    Ok(())
}

fn ask(stack: &Stack, judges: &Judges) -> Result<()> {
    process::timed("waiting until all nodes are online", || {
        process::until(NODES_WITHIN, "three nodes are online", || nodes_online(stack, judges))
    })?;
    for surface in Surface::ALL {
        let start = Instant::now();
        through(surface, stack, judges).with_context(|| format!("the command over {}", surface.name()))?;
        println!(
            "xtask: a command over {} ran in {} containers and was read back after {:.1} s",
            surface.name(),
            TARGETS.len(),
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn nodes_online(stack: &Stack, judges: &Judges) -> Result<()> {
    let answer = surface::aws(&["describe-instance-information"], stack, judges)?;
    let nodes = answer["InstanceInformationList"].as_array();
    let online = nodes.map_or(0, |nodes| {
        nodes.iter().filter(|node| node["PingStatus"] == "Online").count()
    });
    ensure!(online == TARGETS.len() + 1, "{online} are online");
    Ok(())
}

/// Sends a command by tag, waits for its end, and looks into the containers for what it did.
fn through(surface: Surface, stack: &Stack, judges: &Judges) -> Result<()> {
    let folder = format!("/tmp/made-over-{}", surface.name().to_lowercase().replace(' ', "-"));
    let outcome = surface.run(TAG, &format!("mkdir {folder} && hostname"), stack, judges)?;
    ensure!(outcome.status == "Success", "it came to {}", outcome.status);
    let said = outcome.output.trim();
    ensure!(
        TARGETS.contains(&said),
        "the script said {said:?}, and not the name of a target"
    );
    for name in TARGETS {
        ensure!(
            stack.succeeds_in(name, &["test", "-d", &folder])?,
            "{name} has no {folder}"
        );
    }
    ensure!(
        !stack.succeeds_in(OTHER, &["test", "-d", &folder])?,
        "{OTHER} was no target but has {folder}"
    );
    Ok(())
}
