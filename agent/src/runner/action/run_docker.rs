//! `aws:runDockerAction`: one call of the docker program.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{Bench, End, Trouble};
use crate::docker::{self, Order};
use crate::runner::guise::Guise;
use crate::runner::process::Launch;
use crate::runner::script::{self, ScriptError};

/// Runs it, as the step's user: who may speak to the docker service is for that user's groups to say. What it prints is the
/// step's output.
pub(super) fn perform(bench: &mut Bench<'_, '_>) -> Result<End, Trouble> {
    let guise = bench.guise()?;
    let variables = env_file(bench, &guise)?;
    let outcome = call(bench, &guise, variables.as_ref());
    // Variables may be secrets.
    if let Some(file) = variables {
        let _ = fs::remove_file(file);
    }
    outcome
}

fn call(bench: &mut Bench<'_, '_>, guise: &Guise, env_file: Option<&PathBuf>) -> Result<End, Trouble> {
    let text = |input: &str| bench.text(input).unwrap_or_default();
    let order = Order {
        action: text("action"),
        container: text("container"),
        image: text("image"),
        cmd: text("cmd"),
        memory: text("memory"),
        cpu_shares: text("cpuShares"),
        volumes: volumes(bench.part.inputs().get("volume")),
        user: text("user"),
        publish: text("publish"),
        env_file: env_file.map(|file| file.to_string_lossy().into_owned()),
    };
    let arguments = docker::arguments(&order).map_err(|error| Trouble::NeverRan(error.to_string()))?;
    let program = script::find(&bench.workshop.settings.docker.program)?;
    let downloads = bench.downloads();
    let directory = script::working_directory(bench.text("workingDirectory").as_deref(), &downloads, || {
        guise.account.directory()
    })?;
    guise
        .show(&downloads, bench.workshop.state.root())
        .map_err(ScriptError::MakeDirectory)?;
    let launch = Launch {
        program,
        arguments: arguments.into_iter().map(Into::into).collect(),
        environment: bench.environment(&guise.account, &[]),
        directory,
    };
    bench.run(&launch, guise)
}

/// The `env` input as a file, because arguments can be seen by everybody on the machine.
fn env_file(bench: &Bench<'_, '_>, guise: &Guise) -> Result<Option<PathBuf>, Trouble> {
    let Some(variables) = bench.text("env") else {
        return Ok(None);
    };
    let state = bench.workshop.state.root();
    let file = guise.write(bench.file("env"), &format!("{variables}\n"), state);
    Ok(Some(file.map_err(ScriptError::Write)?))
}

/// A list, or one text.
fn volumes(input: Option<&Value>) -> Vec<String> {
    match input {
        Some(Value::Array(volumes)) => volumes.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(volume)) => vec![volume.clone()],
        _ => Vec::new(),
    }
}
