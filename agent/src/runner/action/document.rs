//! `aws:runDocument`: another document, run as one step (documents.md 5).
//!
//! What its steps print is this step's output, and what they amount to is this step's outcome.
//! What it may not do for being within another one is said in `nesting`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use muster_document::{Format, MAX_BYTES, Next, Outcome, PlannedPart, PlannedStep, RunStatus, Verdict, parse};
use serde_json::Value;

use super::download::ask_for;
use super::{Bench, End, Trouble, find};
use crate::runner::step::{NEVER_RAN, Workshop};
use crate::runner::stop::Stop;
use crate::runner::{Draft, Text};

/// Runs the document that the inputs name.
pub(super) fn perform(bench: &mut Bench<'_, '_>) -> Result<End, Trouble> {
    bench.refuse_run_as()?;
    let nesting = bench.workshop.nesting.deeper().map_err(Trouble::NeverRan)?;
    let path = bench
        .text("documentPath")
        .ok_or_else(|| Trouble::NeverRan("documentPath is missing".to_owned()))?;
    let given = parameters(bench.part.inputs().get("documentParameters"))?;
    let text = match bench.text("documentType").as_deref() {
        Some("SSMDocument") => from_service(bench, &path)?,
        Some("LocalPath") => from_file(&bench.downloads().join(&path)).map_err(Trouble::Failed)?,
        _ => {
            return Err(Trouble::NeverRan(
                "documentType is neither SSMDocument nor LocalPath".to_owned(),
            ));
        }
    };
    let draft = Draft::of(&text, given).map_err(|why| Trouble::Failed(format!("document {path}: {why}")))?;
    let outer = bench.workshop;
    let forbidden = |why: crate::policy::Forbidden| Trouble::NeverRan(format!("document {path}: {why}"));
    // Documents of the service were checked by their names when they came; this is for the content of local files.
    outer.policy.check_document(&path, &text.content).map_err(forbidden)?;
    outer.policy.check_plan(draft.plan()).map_err(forbidden)?;
    let plan = draft.resolve(outer.run, outer.about.node_id, outer.secrets, bench.waiting());
    let plan = plan.map_err(|trouble| match trouble {
        Trouble::Failed(why) => Trouble::Failed(format!("document {path}: {why}")),
        other => other,
    })?;
    outer.policy.check_plan(&plan).map_err(forbidden)?;
    let workshop = Workshop {
        parameters: plan.environment(),
        account: outer.account.clone(),
        about: outer.about.clone(),
        nesting,
        prefix: format!("{}.", outer.stem(bench.part)),
        ..*outer
    };
    let mut inner = Inner {
        workshop,
        code: 0,
        limit: bench
            .part
            .inputs()
            .contains_key("timeoutSeconds")
            .then_some(bench.deadline),
    };
    let mut ended: Vec<(usize, Outcome)> = Vec::new();
    loop {
        let step = match plan.next(&ended) {
            Next::End(status) => return Ok(End::Concluded(outcome_of(status), inner.code)),
            Next::Step(index) => &plan.steps()[index],
        };
        match inner.step(bench, step) {
            Ok(outcome) => ended.push((step.index(), outcome)),
            Err(stop) => return Ok(End::Stopped(stop)),
        }
    }
}

/// The run of the inner document.
struct Inner<'w> {
    workshop: Workshop<'w>,
    /// Of the first step that did not succeed.
    code: i32,
    /// When the step around it must be over, if it says so.
    limit: Option<Instant>,
}

impl Inner<'_> {
    /// Runs one step of the inner document, or tells why the whole run must stop.
    fn step(&mut self, bench: &mut Bench<'_, '_>, step: &PlannedStep) -> Result<Outcome, Stop> {
        let (outcome, code) = match step.verdict() {
            Verdict::Skip(trace) => {
                bench.note(format!("{}: {trace}", step.name()));
                (Outcome::Skipped, 0)
            }
            Verdict::Fail(trace) => {
                bench.complain(&format!("{}: {trace}", step.name()));
                (Outcome::Failed, NEVER_RAN)
            }
            Verdict::Run(parts) => match find(step.action(), self.workshop.nesting) {
                Err(trace) => {
                    bench.complain(&format!("{}: {trace}", step.name()));
                    (Outcome::Failed, NEVER_RAN)
                }
                Ok(perform) => self.parts(bench, perform, parts)?,
            },
        };
        if code != 0 && self.code == 0 {
            self.code = code;
        }
        Ok(outcome)
    }

    fn parts(
        &self,
        bench: &mut Bench<'_, '_>,
        perform: super::Perform,
        parts: &[PlannedPart],
    ) -> Result<(Outcome, i32), Stop> {
        let mut ends = Vec::with_capacity(parts.len());
        for part in parts {
            let own = Instant::now() + Duration::from_secs(self.workshop.seconds_for(part));
            let inner = Bench {
                workshop: &self.workshop,
                part,
                captures: &mut *bench.captures,
                trace: &mut *bench.trace,
                stop: &mut *bench.stop,
                tell: &mut *bench.tell,
                deadline: self.limit.map_or(own, |limit| limit.min(own)),
            };
            let (outcome, code, stop) = self.workshop.carry_out(perform, inner);
            if let Some(stop) = stop {
                return Err(stop);
            }
            ends.push((outcome, code));
        }
        let outcome = Outcome::of_parts(ends.iter().map(|(outcome, _)| *outcome));
        let code = ends
            .iter()
            .find(|(each, _)| *each == outcome)
            .map_or(0, |(_, code)| *code);
        let is_good = matches!(outcome, Outcome::Success | Outcome::SuccessAndExit | Outcome::Skipped);
        Ok((outcome, if is_good { 0 } else { code }))
    }
}

fn outcome_of(status: RunStatus) -> Outcome {
    match status {
        RunStatus::Success => Outcome::Success,
        RunStatus::Cancelled => Outcome::Cancelled,
        RunStatus::TimedOut => Outcome::TimedOut,
        RunStatus::Failed | RunStatus::SuccessAndReboot => Outcome::Failed,
    }
}

fn from_service(bench: &mut Bench<'_, '_>, path: &str) -> Result<Text, Trouble> {
    let document = ask_for(bench, path)?;
    if !matches!(document.document_type.as_str(), "Command" | "Policy") {
        return Err(Trouble::Failed(format!(
            "document {path} has the type {}, which does not run on nodes",
            document.document_type
        )));
    }
    let format = document
        .format
        .parse()
        .map_err(|_| Trouble::Failed(format!("document {path} has an unknown format")))?;
    Ok(Text {
        content: document.content,
        format,
    })
}

fn from_file(path: &Path) -> Result<Text, String> {
    let unreadable = |error: std::io::Error| format!("cannot read the document {path:?}: {error}");
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if about.is_dir() {
        return Err(format!(
            "{path:?} is a folder; documentPath must name a document's file"
        ));
    }
    if about.len() > MAX_BYTES as u64 {
        return Err(format!("the document {path:?} has more than {MAX_BYTES} bytes"));
    }
    let content = std::fs::read_to_string(path).map_err(unreadable)?;
    let format = match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => Format::Json,
        Some("yaml" | "yml") => Format::Yaml,
        _ if content.trim_start().starts_with('{') => Format::Json,
        _ => Format::Yaml,
    };
    Ok(Text { content, format })
}

/// The `documentParameters` input: a map, or the JSON or YAML text of one; each value as SendCommand would give it.
fn parameters(input: Option<&Value>) -> Result<BTreeMap<String, Vec<String>>, Trouble> {
    let wrong = || Trouble::NeverRan("documentParameters is neither a map nor the JSON or YAML text of one".to_owned());
    let parsed;
    let map = match input {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(map)) => map,
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(BTreeMap::new()),
        Some(Value::String(text)) => {
            parsed = parse(text, Format::Json)
                .or_else(|_| parse(text, Format::Yaml))
                .map_err(|_| wrong())?;
            parsed.as_object().ok_or_else(wrong)?
        }
        Some(_) => return Err(wrong()),
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values = |value: &Value| match value {
        Value::Array(items) => items.iter().map(text).collect(),
        one => vec![text(one)],
    };
    Ok(map.iter().map(|(name, value)| (name.clone(), values(value))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_come_as_a_map_or_as_text_in_either_format() {
        let expected = BTreeMap::from([
            ("commands".to_owned(), vec!["echo a".to_owned(), "echo b".to_owned()]),
            ("count".to_owned(), vec!["3".to_owned()]),
            ("map".to_owned(), vec!["{\"a\":1}".to_owned()]),
        ]);
        for input in [
            json!({"commands": ["echo a", "echo b"], "count": 3, "map": {"a": 1}}),
            json!("{\"commands\": [\"echo a\", \"echo b\"], \"count\": 3, \"map\": {\"a\": 1}}"),
            json!("commands:\n  - echo a\n  - echo b\ncount: 3\nmap:\n  a: 1\n"),
        ] {
            assert_eq!(parameters(Some(&input)).unwrap(), expected, "{input}");
        }
        for empty in [None, Some(&json!("")), Some(&json!({}))] {
            assert!(parameters(empty).unwrap().is_empty());
        }
        assert!(parameters(Some(&json!(["x"]))).is_err());
        assert!(parameters(Some(&json!("just words"))).is_err());
    }
}
