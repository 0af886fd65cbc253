//! The body of Automation documents, schema 0.3: checked for its structure, run elsewhere (documents.md 6).

mod reference;
mod route;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::finding::{Pointer, Report};
use crate::step::{Setting, as_switch, step_list, step_name};

const ACTIONS: &[&str] = &[
    "aws:approve",
    "aws:assertAwsResourceProperty",
    "aws:branch",
    "aws:changeInstanceState",
    "aws:copyImage",
    "aws:createImage",
    "aws:createStack",
    "aws:createTags",
    "aws:deleteImage",
    "aws:deleteStack",
    "aws:executeAutomation",
    "aws:executeAwsApi",
    "aws:executeScript",
    "aws:executeStateMachine",
    "aws:invokeLambdaFunction",
    "aws:invokeWebhook",
    "aws:loop",
    "aws:pause",
    "aws:runCommand",
    "aws:runInstances",
    "aws:sleep",
    "aws:updateVariable",
    "aws:waitForAwsResourceProperty",
];

const KEYS: &[&str] = &[
    "name",
    "action",
    "inputs",
    "description",
    "onFailure",
    "onCancel",
    "maxAttempts",
    "timeoutSeconds",
    "isCritical",
    "isEnd",
    "nextStep",
    "outputs",
];

/// The types of an output or a variable.
const BASIC_TYPES: &[&str] = &["String", "StringList", "Integer", "Boolean", "StringMap", "MapList"];

const LOOP: &str = "aws:loop";
const BRANCH: &str = "aws:branch";

/// The steps of an Automation document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runbook {
    steps: Vec<RunbookStep>,
}

/// One step of a runbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunbookStep {
    name: String,
    action: String,
    inner: Vec<RunbookStep>,
}

impl Runbook {
    /// The steps in the document's order.
    #[must_use]
    pub fn steps(&self) -> &[RunbookStep] {
        &self.steps
    }
}

impl RunbookStep {
    /// The name, unique in the document.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The action, `aws:runCommand`.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The steps inside a loop.
    #[must_use]
    pub fn inner(&self) -> &[RunbookStep] {
        &self.inner
    }
}

/// Reads an Automation document; findings go to `report`.
pub(crate) fn read(document: &Map<String, Value>, setting: &Setting<'_>, report: &mut Report) -> Runbook {
    let root = Pointer::root();
    check_top_level(document, report);
    let mut runbook = Runbook { steps: Vec::new() };
    let at = root.key("mainSteps");
    let Some(list) = step_list(document, &at, report) else {
        return runbook;
    };
    let mut names = HashSet::new();
    runbook.steps = read_list(list, &at, &mut names, report);
    check_targets(list, &at, report);
    reference::check(document, list, setting, report);
    runbook
}

fn check_top_level(document: &Map<String, Value>, report: &mut Report) {
    let root = Pointer::root();
    if document.get("assumeRole").is_some_and(|role| !role.is_string()) {
        report.error(&root.key("assumeRole"), "assumeRole must be a text");
    }
    match document.get("outputs") {
        None => {}
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {}
        Some(_) => report.error(&root.key("outputs"), "outputs must be a list of texts"),
    }
    let at = root.key("variables");
    match document.get("variables") {
        None => {}
        Some(Value::Object(variables)) => {
            for (name, definition) in variables {
                if !is_step_name(name) {
                    report.error(&at.key(name), "a variable's name has letters, digits and _ only");
                }
                match definition.get("type").and_then(Value::as_str) {
                    Some(word) if BASIC_TYPES.contains(&word) => {}
                    _ => report.error(
                        &at.key(name),
                        format!("a variable has a type: {}", BASIC_TYPES.join(", ")),
                    ),
                }
            }
        }
        Some(_) => report.error(&at, "variables must be a map"),
    }
}

fn read_list<'a>(
    list: &'a [Value],
    at: &Pointer,
    names: &mut HashSet<&'a str>,
    report: &mut Report,
) -> Vec<RunbookStep> {
    let mut steps = Vec::with_capacity(list.len());
    for (position, value) in list.iter().enumerate() {
        let at = at.index(position);
        let Value::Object(step) = value else {
            report.error(&at, "a step is a map");
            continue;
        };
        if let Some(step) = read_step(step, &at, names, report) {
            steps.push(step);
        }
    }
    steps
}

fn read_step<'a>(
    step: &'a Map<String, Value>,
    at: &Pointer,
    names: &mut HashSet<&'a str>,
    report: &mut Report,
) -> Option<RunbookStep> {
    for key in step.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        report.warn(&at.key(key), "unknown key; it has no effect");
    }
    let name = step_name(step, at, is_step_name, "letters, digits and _", report);
    if let Some(name) = name
        && !names.insert(name)
    {
        report.error(&at.key("name"), format!("there is more than one step {name:?}"));
    }
    let action = match step.get("action") {
        Some(Value::String(action)) if ACTIONS.contains(&action.as_str()) => Some(action.as_str()),
        Some(Value::String(action)) => {
            report.error(
                &at.key("action"),
                format!("schema 0.3 has no action {action:?}; it has {}", ACTIONS.join(", ")),
            );
            None
        }
        Some(_) => {
            report.error(&at.key("action"), "an action is a text");
            None
        }
        None => {
            report.error(at, "the step has no action");
            None
        }
    };
    check_attributes(step, at, report);
    let inner = match (step.get("inputs"), action) {
        (Some(Value::Object(inputs)), Some(LOOP)) => {
            let at = at.key("inputs").key("Steps");
            match inputs.get("Steps") {
                Some(Value::Array(list)) if list.iter().any(is_loop) => {
                    report.error(&at, "a loop cannot stand in a loop");
                    Vec::new()
                }
                Some(Value::Array(list)) if !list.is_empty() => read_list(list, &at, names, report),
                _ => {
                    report.error(&at, "a loop has a list of at least one step");
                    Vec::new()
                }
            }
        }
        (Some(Value::Object(_)), _) => Vec::new(),
        (Some(_), _) => {
            report.error(&at.key("inputs"), "inputs must be a map");
            Vec::new()
        }
        (None, _) => {
            report.error(at, "the step has no inputs");
            Vec::new()
        }
    };
    Some(RunbookStep {
        name: name?.to_owned(),
        action: action?.to_owned(),
        inner,
    })
}

fn is_loop(step: &Value) -> bool {
    step.get("action").and_then(Value::as_str) == Some(LOOP)
}

fn is_step_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_token(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("{{"))
}

fn check_attributes(step: &Map<String, Value>, at: &Pointer, report: &mut Report) {
    for key in ["isCritical", "isEnd"] {
        if step
            .get(key)
            .is_some_and(|value| as_switch(value).is_none() && !is_token(value))
        {
            report.error(&at.key(key), format!("{key} must be true or false"));
        }
    }
    for key in ["maxAttempts", "timeoutSeconds"] {
        let Some(value) = step.get(key).filter(|value| !is_token(value)) else {
            continue;
        };
        let number = match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        if number.is_none_or(|number| number < 1) {
            report.error(&at.key(key), format!("{key} must be a whole number, 1 or more"));
        }
    }
    if step
        .get("description")
        .is_some_and(|description| !description.is_string())
    {
        report.error(&at.key("description"), "description must be a text");
    }
    let outputs = at.key("outputs");
    match step.get("outputs") {
        None => {}
        Some(Value::Array(list)) => {
            for (position, output) in list.iter().enumerate() {
                check_output(output, &outputs.index(position), report);
            }
        }
        Some(one) => check_output(one, &outputs, report),
    }
}

fn check_output(output: &Value, at: &Pointer, report: &mut Report) {
    let Value::Object(map) = output else {
        report.error(at, "an output is a map with Name, Selector and Type");
        return;
    };
    for key in ["Name", "Selector"] {
        if !map.get(key).is_some_and(Value::is_string) {
            report.error(at, format!("the output has no {key}"));
        }
    }
    match map.get("Type") {
        None => {}
        Some(Value::String(word)) if BASIC_TYPES.contains(&word.as_str()) => {}
        Some(_) => report.error(&at.key("Type"), format!("a type is one of {}", BASIC_TYPES.join(", "))),
    }
}

/// A step that another one names as its follower, and where it does so.
struct Jump<'a> {
    target: &'a str,
    at: Pointer,
}

/// The steps that a step jumps to, in whatever way.
fn jumps<'a>(step: &'a Map<String, Value>, at: &Pointer) -> Vec<Jump<'a>> {
    let mut jumps = Vec::new();
    let mut add = |value: Option<&'a Value>, at: Pointer| {
        if let Some(Value::String(target)) = value {
            jumps.push(Jump { target, at });
        }
    };
    add(step.get("nextStep"), at.key("nextStep"));
    if step.get("action").and_then(Value::as_str) == Some(BRANCH) {
        let inputs = step.get("inputs");
        let at = at.key("inputs");
        add(inputs.and_then(|inputs| inputs.get("Default")), at.key("Default"));
        let choices = inputs
            .and_then(|inputs| inputs.get("Choices"))
            .and_then(Value::as_array);
        for (position, choice) in choices.into_iter().flatten().enumerate() {
            add(
                choice.get("NextStep"),
                at.key("Choices").index(position).key("NextStep"),
            );
        }
    }
    for key in ["onFailure", "onCancel"] {
        if let Some(target) = step
            .get(key)
            .and_then(Value::as_str)
            .and_then(|word| word.strip_prefix("step:"))
        {
            jumps.push(Jump {
                target,
                at: at.key(key),
            });
        }
    }
    jumps
}

/// Checks the words and targets that lead from step to step; a jump stays within its list of steps.
fn check_targets(list: &[Value], at: &Pointer, report: &mut Report) {
    let here: HashMap<&str, usize> = positions(list);
    for (position, value) in list.iter().enumerate() {
        let Value::Object(step) = value else { continue };
        let at = at.index(position);
        for (key, words) in [("onFailure", &["Abort", "Continue"][..]), ("onCancel", &["Abort"])] {
            match step.get(key) {
                None => {}
                Some(Value::String(word)) if words.contains(&word.as_str()) || word.starts_with("step:") => {}
                Some(_) => report.error(
                    &at.key(key),
                    format!("{key} must be {} or step:<name>", words.join(", ")),
                ),
            }
        }
        if step.get("nextStep").is_some_and(|next| !next.is_string()) {
            report.error(&at.key("nextStep"), "nextStep must be the name of a step");
        }
        for jump in jumps(step, &at) {
            if !here.contains_key(jump.target) {
                report.error(&jump.at, format!("there is no step {:?}", jump.target));
            }
        }
        if let Some(inner) = inner_steps(step) {
            check_targets(inner, &at.key("inputs").key("Steps"), report);
        }
    }
}

/// Where each named step of a list stands.
fn positions(list: &[Value]) -> HashMap<&str, usize> {
    let names = list
        .iter()
        .enumerate()
        .filter_map(|(position, step)| Some((step.get("name")?.as_str()?, position)));
    names.collect()
}

/// The steps inside a loop.
fn inner_steps(step: &Map<String, Value>) -> Option<&[Value]> {
    let is_loop = step.get("action").and_then(Value::as_str) == Some(LOOP);
    step.get("inputs")?
        .get("Steps")
        .filter(|_| is_loop)?
        .as_array()
        .map(Vec::as_slice)
}
