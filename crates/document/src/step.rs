//! The steps of Command and Policy documents: `mainSteps` of schema 2.0 and 2.2 (documents.md 4).
//!
//! Schema 1.2 is read into the same [`Step`]s elsewhere: each plugin is a step, each set of properties one of its parts.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::action::{Action, Input, Shape};
use crate::document::known_actions;
use crate::finding::{Pointer, Report};
use crate::interpolate;
use crate::parameter::{Parameter, ParameterType};
use crate::platform::Platform;
use crate::precondition::Precondition;
use crate::schema::Schema;
use crate::script;

/// What a step may have; others are reported, as they do nothing.
const KEYS: &[&str] = &[
    "action",
    "name",
    "inputs",
    "precondition",
    "description",
    "maxAttempts",
    "timeoutSeconds",
    "onFailure",
];

/// The inputs that decide what comes after the step; any action has them.
pub(crate) const ON_FAILURE: &str = "onFailure";
pub(crate) const ON_SUCCESS: &str = "onSuccess";
pub(crate) const FINALLY_STEP: &str = "finallyStep";

/// A step: one result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub(crate) name: String,
    pub(crate) action: &'static Action,
    pub(crate) precondition: Option<Precondition>,
    pub(crate) parts: Vec<Part>,
}

/// One execution of a step's action.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The step's name in 2.x, the property id in 1.2.
    pub(crate) id: String,
    pub(crate) inputs: Map<String, Value>,
    /// `timeoutSeconds` beside the inputs, used when they have none.
    pub(crate) step_timeout: Option<Value>,
}

impl Step {
    /// The key of its result: in 2.x its name, in 1.2 the action's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does.
    #[must_use]
    pub fn action(&self) -> &'static Action {
        self.action
    }

    /// The condition under which it runs.
    #[must_use]
    pub fn precondition(&self) -> Option<&Precondition> {
        self.precondition.as_ref()
    }

    /// What it executes, one after the other: exactly one part in 2.x, one for each set of properties in 1.2.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl Part {
    /// The step's name in 2.x, the property id in 1.2.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The inputs as the document has them, parameters not put in.
    #[must_use]
    pub fn inputs(&self) -> &Map<String, Value> {
        &self.inputs
    }

    /// The execution timeout as written: number, text or token.
    #[must_use]
    pub fn timeout(&self) -> Option<&Value> {
        self.inputs.get("timeoutSeconds").or(self.step_timeout.as_ref())
    }
}

/// What the body of a document is read against.
pub(crate) struct Setting<'a> {
    pub(crate) schema: Schema,
    pub(crate) parameters: &'a [Parameter],
}

impl<'a> Setting<'a> {
    pub(crate) fn parameter(&self, name: &str) -> Option<&'a Parameter> {
        self.parameters.iter().find(|parameter| parameter.name() == name)
    }
}

/// Reads `mainSteps`; findings go to `report`.
pub(crate) fn read(document: &Map<String, Value>, setting: &Setting<'_>, report: &mut Report) -> Vec<Step> {
    let at = Pointer::root().key("mainSteps");
    let Some(list) = step_list(document, &at, report) else {
        return Vec::new();
    };
    let mut names = HashSet::new();
    let steps = list.iter().enumerate().map(|(position, value)| {
        let is_last = position + 1 == list.len();
        read_step(value, is_last, &mut names, setting, &at.index(position), report)
    });
    let mut steps: Vec<Option<Step>> = steps.collect();
    // After all steps: preconditions are the next check.
    for (position, (value, step)) in list.iter().zip(&mut steps).enumerate() {
        let at = at.index(position);
        let condition = value.get("precondition");
        let condition = condition.and_then(|value| read_precondition(value, setting, &at, report));
        let (Some(condition), Some(step)) = (condition, step) else {
            continue;
        };
        let admitted = |platform: &Platform| step.action.runs_on(*platform) && condition.admits(*platform);
        if !Platform::ALL.iter().any(admitted) {
            report.warn(
                &at,
                "no platform has this action and meets the precondition: the step never runs",
            );
        }
        step.precondition = Some(condition);
    }
    steps.into_iter().flatten().collect()
}

/// Reads a step but for its precondition.
fn read_step<'a>(
    value: &'a Value,
    is_last: bool,
    names: &mut HashSet<&'a str>,
    setting: &Setting<'_>,
    at: &Pointer,
    report: &mut Report,
) -> Option<Step> {
    let Value::Object(map) = value else {
        report.error(at, "a step is a map");
        return None;
    };
    let name = step_name(map, at, is_step_name, "letters, digits, - and _, at most 128", report);
    if let Some(name) = name
        && !names.insert(name)
    {
        report.error(&at.key("name"), format!("there is more than one step {name:?}"));
    }
    let action = step_action(map, setting.schema, at, report);
    check_flow(map, is_last, at, report);
    let action = action?;
    let part = read_part(map, action, setting, at, report)?;
    Some(Step {
        name: name.unwrap_or_default().to_owned(),
        action,
        precondition: None,
        parts: vec![part],
    })
}

/// The list of steps of any document that has one.
pub(crate) fn step_list<'a>(
    document: &'a Map<String, Value>,
    at: &Pointer,
    report: &mut Report,
) -> Option<&'a [Value]> {
    match document.get("mainSteps") {
        Some(Value::Array(list)) if !list.is_empty() => return Some(list),
        Some(Value::Array(_)) => report.error(at, "there must be at least one step"),
        Some(_) => report.error(at, "mainSteps must be a list"),
        None => report.error(at, "mainSteps is missing"),
    }
    None
}

/// A step's name if it is one.
pub(crate) fn step_name<'a>(
    step: &'a Map<String, Value>,
    at: &Pointer,
    fits: fn(&str) -> bool,
    rule: &str,
    report: &mut Report,
) -> Option<&'a str> {
    match step.get("name") {
        Some(Value::String(name)) if fits(name) => return Some(name),
        Some(_) => report.error(&at.key("name"), format!("a step's name has {rule}")),
        None => report.error(at, "the step has no name"),
    }
    None
}

fn is_step_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn step_action(
    step: &Map<String, Value>,
    schema: Schema,
    at: &Pointer,
    report: &mut Report,
) -> Option<&'static Action> {
    match step.get("action") {
        Some(Value::String(name)) => {
            let action = Action::find(name, schema);
            if action.is_none() {
                unknown_action(name, schema, &at.key("action"), report);
            }
            return action;
        }
        Some(_) => report.error(&at.key("action"), "an action is a text"),
        None => report.error(at, "the step has no action"),
    }
    None
}

pub(crate) fn unknown_action(name: &str, schema: Schema, at: &Pointer, report: &mut Report) {
    report.error(
        at,
        format!(
            "schema {schema} has no action {name:?}; it has {}",
            known_actions(schema)
        ),
    );
}

fn read_part(
    step: &Map<String, Value>,
    action: &'static Action,
    setting: &Setting<'_>,
    at: &Pointer,
    report: &mut Report,
) -> Option<Part> {
    for key in step.keys() {
        let settings = key == "settings" && action.has_settings();
        if key == "interpolationType" {
            report.warn(&at.key(key), "has no effect on a step; it belongs to the parameter");
        } else if !settings && !KEYS.contains(&key.as_str()) {
            report.warn(&at.key(key), "unknown key; it has no effect");
        }
    }
    if step.contains_key(ON_FAILURE) {
        report.warn(&at.key(ON_FAILURE), "has no effect here; it belongs to the inputs");
    }
    let mut inputs = match step.get("inputs") {
        Some(Value::Object(inputs)) => inputs.clone(),
        None if action.has_settings() => Map::new(),
        Some(_) => {
            report.error(&at.key("inputs"), "inputs must be a map");
            return None;
        }
        None => {
            report.error(at, "the step has no inputs");
            return None;
        }
    };
    check_inputs(&inputs, action, setting, &at.key("inputs"), report);
    if let Some(settings) = inputs.get("settings").filter(|_| action.has_settings()) {
        check_settings(settings, &at.key("inputs").key("settings"), report);
    }
    if let Some(settings) = step.get("settings").filter(|_| action.has_settings()) {
        check_settings(settings, &at.key("settings"), report);
        inputs.entry("settings").or_insert_with(|| settings.clone());
    }
    let id = step.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Part {
        id,
        inputs,
        step_timeout: step.get("timeoutSeconds").cloned(),
    })
}

fn read_precondition(value: &Value, setting: &Setting<'_>, at: &Pointer, report: &mut Report) -> Option<Precondition> {
    let at = at.key("precondition");
    if setting.schema != Schema::V2_2 {
        report.error(&at, "a precondition needs schemaVersion 2.2");
        return None;
    }
    Precondition::read(value, &at, setting.parameters, report)
}

/// Checks the words that decide what comes after the step.
fn check_flow(step: &Map<String, Value>, is_last: bool, at: &Pointer, report: &mut Report) {
    let Some(Value::Object(inputs)) = step.get("inputs") else {
        return;
    };
    let at = at.key("inputs");
    for (key, words) in [(ON_FAILURE, &["exit", "successAndExit"][..]), (ON_SUCCESS, &["exit"])] {
        match inputs.get(key) {
            None => {}
            Some(Value::String(word)) if words.contains(&word.as_str()) || word.contains("{{") => {}
            Some(_) => report.error(&at.key(key), format!("{key} must be {}", words.join(" or "))),
        }
    }
    match inputs.get(FINALLY_STEP) {
        None => {}
        Some(value) if as_switch(value) == Some(true) && !is_last => {
            report.error(&at.key(FINALLY_STEP), "only the last step can be the finally step");
        }
        Some(Value::String(word)) if word.contains("{{") => {}
        Some(value) if as_switch(value).is_none() => {
            report.error(&at.key(FINALLY_STEP), "finallyStep must be true or false");
        }
        Some(_) => {}
    }
}

/// A boolean, or its word.
pub(crate) fn as_switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(switch) => Some(*switch),
        Value::String(word) if word.eq_ignore_ascii_case("true") => Some(true),
        Value::String(word) if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Checks the inputs of one execution of an action.
pub(crate) fn check_inputs(
    inputs: &Map<String, Value>,
    action: &Action,
    setting: &Setting<'_>,
    at: &Pointer,
    report: &mut Report,
) {
    for input in action.inputs() {
        match inputs.get(input.name) {
            None | Some(Value::Null) if input.required => {
                report.error(at, format!("{} needs the input {}", action.name(), input.name));
            }
            None => {}
            Some(value) => check_input(value, input, setting, &at.key(input.name), report),
        }
    }
    if inputs.contains_key("interpolationType") {
        report.warn(
            &at.key("interpolationType"),
            "has no effect on inputs; it belongs to the parameter",
        );
    }
    if let (Some(language), Some(script)) = (action.language(), inputs.get("runCommand"))
        && script::out_of_reach(script, language, setting.parameters)
    {
        report.warn(
            &at.key("runCommand"),
            "an ENV_VAR parameter stands in quotes that expand nothing; the script sees the reference, not the value",
        );
    }
    for (key, value) in inputs {
        check_tokens(value, setting, &at.key(key), report);
    }
}

/// Checks the settings of the one action that has them.
pub(crate) fn check_settings(settings: &Value, at: &Pointer, report: &mut Report) {
    match settings.get("startType") {
        None => {}
        Some(Value::String(word)) if matches!(word.as_str(), "Enabled" | "Disabled") || word.contains("{{") => {}
        Some(_) => report.error(&at.key("startType"), "must be one of Enabled, Disabled"),
    }
}

fn check_input(value: &Value, input: &Input, setting: &Setting<'_>, at: &Pointer, report: &mut Report) {
    if let Value::String(text) = value
        && interpolate::is_token(text)
    {
        return check_token_type(text, input, setting, at, report);
    }
    match (input.shape, value) {
        (Shape::Text, Value::Array(_) | Value::Object(_)) => report.error(at, "must be a text"),
        (Shape::Lines, Value::Array(list)) => {
            for (position, element) in list.iter().enumerate() {
                match element {
                    Value::String(_) => {}
                    Value::Array(_) | Value::Object(_) | Value::Null => {
                        report.error(&at.index(position), "must be a text");
                    }
                    Value::Bool(_) | Value::Number(_) => report.warn(&at.index(position), "is taken as text; quote it"),
                }
            }
        }
        (Shape::Lines, Value::String(_)) | (Shape::Map, Value::Object(_) | Value::String(_)) => {}
        (Shape::Lines, _) => report.error(at, "must be a text or a list of texts"),
        (Shape::Map, _) => report.error(at, "must be a map or its JSON text"),
        (Shape::Text, _) => {}
    }
    if let Value::String(word) = value
        && !input.words.is_empty()
        && !word.contains("{{")
        && !input.words.contains(&word.as_str())
    {
        report.error(at, format!("must be one of {}", input.words.join(", ")));
    }
}

/// Says when a whole value is a parameter of a type that the input cannot mean.
fn check_token_type(text: &str, input: &Input, setting: &Setting<'_>, at: &Pointer, report: &mut Report) {
    let Some(parameter) = interpolate::token_names(text)
        .next()
        .and_then(|name| setting.parameter(name))
    else {
        return;
    };
    let fits = match (input.shape, parameter.kind()) {
        (_, ParameterType::String) => true,
        (Shape::Text, kind) => matches!(kind, ParameterType::Boolean | ParameterType::Integer),
        (Shape::Lines, kind) => matches!(kind, ParameterType::StringList),
        (Shape::Map, kind) => matches!(kind, ParameterType::StringMap),
    };
    if !fits {
        report.warn(
            at,
            format!("the parameter's type {} does not fit this input", parameter.kind()),
        );
    }
}

/// Says when a token names no parameter: it stays in the text as it is, which is right for templates of other languages only.
fn check_tokens(value: &Value, setting: &Setting<'_>, at: &Pointer, report: &mut Report) {
    match value {
        Value::String(text) => {
            let mut unknown: Vec<&str> = interpolate::token_names(text)
                .filter(|name| setting.parameter(name).is_none())
                .collect();
            unknown.sort_unstable();
            unknown.dedup();
            for name in unknown {
                report.warn(at, format!("no parameter {name:?}; the braces stay as they are"));
            }
        }
        Value::Array(list) => {
            for (position, element) in list.iter().enumerate() {
                check_tokens(element, setting, &at.index(position), report);
            }
        }
        Value::Object(map) => map
            .iter()
            .for_each(|(key, inner)| check_tokens(inner, setting, &at.key(key), report)),
        _ => {}
    }
}
