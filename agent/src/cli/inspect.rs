//! What the state directory tells without any server: who this node is, its runs, their outputs.

use std::error::Error;
use std::io::{self, Write};

use muster_model::Timestamp;

use crate::facts;
use crate::journal::{self, History, RunId};
use crate::report::Report;
use crate::state::StateDir;

/// Says who this node is and what it does.
pub(super) fn status(state: &StateDir) -> Result<(), Box<dyn Error>> {
    let Some(identity) = state.known_identity()? else {
        return Err(format!("there is no agent's state in {:?}", state.root()).into());
    };
    let node = identity
        .node
        .map_or_else(|| "not registered".to_owned(), |node| node.to_string());
    let is_running = state.occupy()?.is_none();
    // What a former agent said is no news.
    let report = state.report().filter(|_| is_running).unwrap_or_default();
    let (open, done) = (state.journal().open_runs()?.len(), state.journal().done_runs()?.len());
    let mut out = io::stdout();
    let mut line = |name: &str, value: String| writeln!(out, "{name:9} {value}");
    line("node", node)?;
    line(
        "agent",
        match (is_running, report.pid) {
            (false, _) => "not running".to_owned(),
            (true, 0) => "running".to_owned(),
            (true, pid) => format!("running (pid {pid}, since {})", report.started_at),
        },
    )?;
    line("version", facts::version().to_owned())?;
    line("runs", format!("{open} open, {done} done"))?;
    if !is_running || report.pid == 0 {
        return Ok(());
    }
    line("work", work_words(&report))?;
    line("server", server_words(&report))?;
    if let Some(refusal) = &report.refusal {
        line("refused", format!("{refusal}; asking again every 5 minutes"))?;
    }
    if let Some(offset_us) = report.clock_offset_us {
        let milliseconds = offset_us / 1_000;
        line("clock", format!("{milliseconds:+} ms from the service's"))?;
    }
    let disk = report.disk;
    line(
        "disk",
        format!(
            "{} of {} MiB, {} of {} entries",
            disk.bytes >> 20,
            disk.quota_bytes >> 20,
            disk.entries,
            disk.quota_entries
        ),
    )?;
    for (name, problem) in [
        ("no work", report.refuses_work),
        ("config", report.configuration_problem),
        ("policy", report.policy_problem),
    ] {
        if let Some(problem) = problem {
            line(name, problem.split_whitespace().collect::<Vec<_>>().join(" "))?;
        }
    }
    Ok(())
}

fn work_words(report: &Report) -> String {
    let reboot = if report.awaits_reboot {
        ", waiting for a reboot"
    } else {
        ""
    };
    format!(
        "{} running, {} queued, {} not confirmed{reboot}",
        report.running, report.queued, report.unconfirmed
    )
}

fn server_words(report: &Report) -> String {
    let word = if report.is_connected {
        "connected"
    } else {
        "not connected"
    };
    let answered = report.answered_at.as_deref().unwrap_or("never");
    format!("{} {word} since {}, answered {answered}", report.server, report.since)
}

/// Lists runs, the newest last.
pub(super) fn runs(state: &StateDir) -> Result<(), Box<dyn Error>> {
    let journal = state.journal();
    let open = journal.open_runs()?.into_iter().map(|run| (run, journal.open_log(run)));
    let done = journal.done_runs()?.into_iter().map(|run| (run, journal.done_log(run)));
    // A run may be filed away while we look.
    let mut found: Vec<(RunId, History)> = open
        .chain(done)
        .filter_map(|(run, path)| Some((run, journal::read(&path).ok()?)))
        .collect();
    found.sort_by_key(|(_, history)| history.accepted.as_ref().map_or(0, |accepted| accepted.at_us));
    let mut out = io::stdout();
    for (run, history) in found {
        let accepted = history.accepted.as_ref();
        let at = accepted.and_then(|accepted| Timestamp::from_microsecond(accepted.at_us).ok());
        let at = at.map_or_else(String::new, |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        let document = accepted
            .and_then(|accepted| accepted.work.as_ref())
            .map_or("-", |work| &work.document_name);
        writeln!(out, "{run}  {at:20}  {:10}  {document}", state_of(&history))?;
    }
    Ok(())
}

fn state_of(history: &History) -> &'static str {
    use muster_proto::agent::v1::RunStatus;

    match history.result().map(muster_proto::agent::v1::RunResult::status) {
        Some(RunStatus::Success) => "Success",
        Some(RunStatus::Failed | RunStatus::Unset) => "Failed",
        Some(RunStatus::TimedOut) => "TimedOut",
        Some(RunStatus::Cancelled) => "Cancelled",
        None if history.dropped => "Expired",
        None if history.runner.is_some() => "InProgress",
        None => "Queued",
    }
}

/// Shows a run's steps and outputs.
pub(super) fn logs(state: &StateDir, run: RunId) -> Result<(), Box<dyn Error>> {
    let journal = state.journal();
    let history = match journal::read(&journal.open_log(run)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            journal::read(&journal.done_log(run)).map_err(|_| format!("there is no run {run} in {:?}", state.root()))?
        }
        other => other?,
    };
    let mut out = io::stdout();
    for result in history.step_results() {
        writeln!(out, "== {} {} (exit code {})", result.name, result.action, result.code)?;
        for (title, text) in [
            ("", &result.stdout),
            ("-- stderr\n", &result.stderr),
            ("-- trace\n", &result.trace),
        ] {
            if !text.is_empty() {
                writeln!(out, "{title}{}", text.trim_end_matches('\n'))?;
            }
        }
    }
    let trace = history.result().map_or("", |result| &result.trace);
    writeln!(out, "== {} {trace}", state_of(&history))?;
    Ok(())
}
