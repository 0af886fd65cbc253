//! The check: a stack of its own, a command through each surface, and the results from inside the containers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Binaries;
use super::engine::Engine;
use super::stack::Stack;
use super::surface::{self, Surface};
use crate::process;
use crate::python::{self, Judges};

/// The agents of `docker-compose.yml` that have the tag `ServerRole=WebFrontEnd`, and the one that has not.
const FRONT_ENDS: [&str; 2] = ["web-1", "web-2"];
const OTHER: &str = "db-1";

const NODES_WITHIN: Duration = Duration::from_secs(60);
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

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
            "xtask: a command over {} ran on {} containers and was read back after {:.1} s",
            surface.name(),
            FRONT_ENDS.len(),
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn nodes_online(stack: &Stack, judges: &Judges) -> Result<()> {
    let answer = process::output(&mut surface::aws(
        "describe-instance-information",
        &json!({}),
        stack,
        judges,
    ))?;
    let answer: Value = serde_json::from_str(&answer)?;
    let nodes = answer["InstanceInformationList"]
        .as_array()
        .map_or(&[] as &[_], Vec::as_slice);
    let online: Vec<&str> = nodes
        .iter()
        .filter(|node| node["PingStatus"] == "Online")
        .filter_map(|node| node["ComputerName"].as_str())
        .collect();
    ensure!(online.len() == FRONT_ENDS.len() + 1, "online are {online:?}");
    Ok(())
}

/// Sends a command to the front ends, waits for its end, and looks at what it said and did.
fn through(surface: Surface, stack: &Stack, judges: &Judges) -> Result<()> {
    let folder = format!("/tmp/made-over-{}", surface.name().to_lowercase().replace(' ', "-"));
    let sent = surface.run_command(
        "SendCommand",
        &json!({
            "DocumentName": "AWS-RunShellScript",
            "Targets": [{ "Key": "tag:ServerRole", "Values": ["WebFrontEnd"] }],
            "Parameters": { "commands": [format!("mkdir {folder}"), "hostname"] },
            "MaxConcurrency": "10",
            "MaxErrors": "10",
        }),
        stack,
        judges,
    )?;
    let id = sent["Command"]["CommandId"]
        .as_str()
        .context("SendCommand gave no CommandId")?;
    let question = json!({ "CommandId": id, "Details": true });
    let invocations = process::until(COMMAND_WITHIN, "the command has ended everywhere", || {
        let answer = surface.run_command("ListCommandInvocations", &question, stack, judges)?;
        all_ended(&answer)
    })?;

    let mut outputs = BTreeSet::new();
    for invocation in &invocations {
        let status = surface::ended(invocation)?;
        ensure!(
            status == Some("Success"),
            "an invocation came to {status:?}: {invocation}"
        );
        let output = invocation["CommandPlugins"][0]["Output"].as_str().unwrap_or_default();
        outputs.insert(output.trim().to_owned());
    }
    let expected = BTreeSet::from(FRONT_ENDS.map(str::to_owned));
    ensure!(outputs == expected, "the scripts said {outputs:?} and not {expected:?}");
    for name in FRONT_ENDS {
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

fn all_ended(answer: &Value) -> Result<Vec<Value>> {
    let invocations = answer["CommandInvocations"].as_array().cloned().unwrap_or_default();
    for invocation in &invocations {
        if surface::ended(invocation)?.is_none() {
            bail!("still open: {invocation}");
        }
    }
    ensure!(
        invocations.len() == FRONT_ENDS.len(),
        "{} invocations",
        invocations.len()
    );
    Ok(invocations)
}
