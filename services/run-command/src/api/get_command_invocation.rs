//! `GetCommandInvocation` (run-command 5.3).

use muster_model::{CommandId, Timestamp};
use muster_proto::Word;
use muster_proto::aws::v1::Reason;
use muster_proto::runcommand::v1::{CommandInvocationStatus, GetCommandInvocationRequest, GetCommandInvocationResult};
use muster_wire::{Failure, Refusal};

use crate::api::{Api, view};
use crate::domain::output;
use crate::domain::sight::Sight;
use crate::domain::status::InvocationStatus;
use crate::error::from_store;
use crate::store;
use crate::store::read::{PluginRow, Question};

/// `StandardOutputContent` holds this many characters, `StandardErrorContent` so many (run-command 8.1).
const STDOUT_LIMIT: usize = 24_000;
const STDERR_LIMIT: usize = 8_000;

impl Api {
    pub(super) async fn get_invocation(
        &self,
        request: GetCommandInvocationRequest,
        sight: &Sight,
    ) -> Result<GetCommandInvocationResult, Failure> {
        let command_id = request.command_id.unwrap_or_default();
        let node_id = request.instance_id.unwrap_or_default();
        let missing = || {
            let message = format!("command {command_id} has no invocation on {node_id}");
            Refusal::new(Reason::InvocationDoesNotExist, message)
        };
        let id: CommandId = command_id.parse().map_err(|_| missing())?;
        let question = Question {
            command_id: Some(id.to_string()),
            node_id: Some(node_id.clone()),
            sender: sight.sender(),
            limit: 1,
            ..Question::default()
        };
        let rows = store::read::invocations(&self.db, &question)
            .await
            .map_err(from_store)?;
        let row = rows.first().ok_or_else(missing)?;
        let told = store::read::plugins(&self.db, &[(&row.invocation.command_id, &row.invocation.node_id)])
            .await
            .map_err(from_store)?;
        let steps = row.all_steps(told).map_err(from_store)?;
        let facts = view::facts(row).map_err(from_store)?;
        let chosen = choose(&steps, request.plugin_name.as_deref())?;

        let shown: Vec<&PluginRow> = match chosen {
            Chosen::One(step) => vec![step],
            Chosen::All => steps.iter().collect(),
        };
        let invocation = row.invocation.invocation().map_err(from_store)?.status;
        let (status, details) = match (request.plugin_name.is_some(), chosen) {
            (true, Chosen::One(step)) => (step.status.clone(), step.status_details.clone()),
            _ => (invocation.status().to_owned(), invocation.details().to_owned()),
        };
        let started = shown.iter().filter_map(|step| step.started_at).min();
        // A step that did not begin before the invocation ended never will.
        let may_begin = |step: &PluginRow| step.started_at.is_some() || !invocation.is_final();
        let running = shown.iter().any(|step| step.finished_at.is_none() && may_begin(step));
        let ended = shown
            .iter()
            .filter_map(|step| step.finished_at)
            .max()
            .filter(|_| !running);
        let elapsed = match (started, ended) {
            (Some(started), Some(ended)) => output::duration(ended - started),
            _ => String::new(),
        };
        let join = |pick: fn(&PluginRow) -> &str, limit| {
            let whole: String = shown.iter().map(|step| pick(step)).collect();
            output::shortened(&whole, limit)
        };
        // Where no step began, the reason stands nowhere else in this answer: a document that cannot run, a deadline.
        let never_began = steps
            .iter()
            .all(|step| step.started_at.is_none() && step.finished_at.is_none());
        let stderr = match never_began && invocation.is_final() {
            true => output::shortened(&row.invocation.trace, STDERR_LIMIT),
            false => join(|step| &step.stderr, STDERR_LIMIT),
        };
        let location = view::location(&facts, &self.objects_url, &row.invocation.command_id, &node_id);
        let url = |stream| match shown.as_slice() {
            [only] => location.url(&only.action, &only.name, stream),
            _ => String::new(),
        };
        let (stdout_url, stderr_url) = (url("stdout"), url("stderr"));
        Ok(GetCommandInvocationResult {
            command_id: Some(id.to_string()),
            instance_id: Some(node_id.clone()),
            comment: Some(facts.comment.clone().unwrap_or_default()),
            document_name: facts.document_name.clone(),
            document_version: facts.document_version.clone(),
            plugin_name: Some(shown.first().map(|step| step.name.clone()).unwrap_or_default()),
            response_code: Some(response_code(&shown, invocation)),
            execution_start_date_time: Some(started.map(iso).unwrap_or_default()),
            execution_elapsed_time: Some(elapsed),
            execution_end_date_time: Some(ended.map(iso).unwrap_or_default()),
            status: CommandInvocationStatus::from_word(&status).map(Into::into),
            status_details: Some(details),
            standard_output_content: Some(join(|step| &step.stdout, STDOUT_LIMIT)),
            standard_output_url: Some(stdout_url),
            standard_error_content: Some(stderr),
            standard_error_url: Some(stderr_url),
            cloud_watch_output_config: facts.cloud_watch_output_config.clone(),
        })
    }
}

#[derive(Clone, Copy)]
enum Chosen<'a> {
    One(&'a PluginRow),
    All,
}

/// The step with the name that was asked for; all of them when none was.
fn choose<'a>(steps: &'a [PluginRow], name: Option<&str>) -> Result<Chosen<'a>, Refusal> {
    match (name, steps) {
        (Some(name), _) => steps
            .iter()
            .find(|step| step.name == name || step.action == name)
            .map(Chosen::One)
            .ok_or_else(|| {
                let known: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
                let message = format!("there is no step {name}; known: {}", known.join(", "));
                Refusal::new(Reason::InvalidPluginName, message)
            }),
        (None, [only]) => Ok(Chosen::One(only)),
        (None, _) => Ok(Chosen::All),
    }
}

/// The code of one step; of several, that of the first that did not succeed.
fn response_code(shown: &[&PluginRow], invocation: InvocationStatus) -> i32 {
    let step = match invocation.is_final() {
        true => shown.iter().find(|step| step.status != "Success").or(shown.last()),
        false => shown.first().filter(|_| shown.len() == 1),
    };
    step.map_or(-1, |step| i32::try_from(step.response_code).unwrap_or(-1))
}

/// ISO 8601 with milliseconds, as AWS prints it.
fn iso(micros: i64) -> String {
    Timestamp::from_microsecond(micros)
        .map(|time| format!("{time:.3}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601_with_milliseconds() {
        assert_eq!(iso(1_500_000), "1970-01-01T00:00:01.500Z");
    }
}
