//! The references of a runbook: `{{ Parameter }}`, `{{ step.Output }}`, `{{ variable:Name }}`, `{{ global:DATE }}`
//! (documents.md 3.2). Braces around anything else stay as they are.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::inner_steps;
use super::route::Routes;
use crate::finding::{Pointer, Report};
use crate::interpolate::references_in;
use crate::step::Setting;

const SYSTEM: &[&str] = &[
    "global:DATE",
    "global:DATE_TIME",
    "global:REGION",
    "global:ACCOUNT_ID",
    "global:AWS_PARTITION",
    "automation:EXECUTION_ID",
];

/// The target of the window or association task that started the runbook.
const TARGET: &str = "RESOURCE_ID";

/// Checks every reference of a runbook; findings go to `report`.
pub(super) fn check(document: &Map<String, Value>, list: &[Value], setting: &Setting<'_>, report: &mut Report) {
    let mut places = HashMap::new();
    for (position, step) in list.iter().enumerate() {
        let Value::Object(step) = step else { continue };
        places.extend(name_of(step).map(|name| {
            (
                name,
                Place {
                    outer: position,
                    is_inner: false,
                },
            )
        }));
        for inner in inner_steps(step).into_iter().flatten().filter_map(Value::as_object) {
            places.extend(name_of(inner).map(|name| {
                (
                    name,
                    Place {
                        outer: position,
                        is_inner: true,
                    },
                )
            }));
        }
    }
    let variables = document.get("variables").and_then(Value::as_object);
    let mut checker = Checker {
        setting,
        variables,
        places,
        routes: Routes::of(list),
        report,
    };

    let root = Pointer::root();
    if let Some(role) = document.get("assumeRole") {
        let at = root.key("assumeRole");
        checker.value(role, None, &at);
        refuse_stored(role, &at, "assumeRole", checker.report);
    }
    for (position, step) in list.iter().enumerate() {
        let at = root.key("mainSteps").index(position);
        checker.value(step, Some(position), &at);
        check_inputs(step, &at, checker.report);
    }
    let outputs = document.get("outputs").and_then(Value::as_array);
    for (position, output) in outputs.into_iter().flatten().enumerate() {
        let Some(text) = output.as_str() else { continue };
        let bare = text.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
        checker.reference(bare, None, &root.key("outputs").index(position));
    }
}

/// Refuses references to the parameter store in the inputs of a step, and of the steps in a loop.
fn check_inputs(step: &Value, at: &Pointer, report: &mut Report) {
    let at = at.key("inputs");
    let inner = step.as_object().and_then(inner_steps);
    for (key, input) in step.get("inputs").and_then(Value::as_object).into_iter().flatten() {
        match inner {
            Some(steps) if key == "Steps" => {
                for (position, step) in steps.iter().enumerate() {
                    check_inputs(step, &at.key(key).index(position), report);
                }
            }
            _ => refuse_stored(input, &at.key(key), "a step's inputs", report),
        }
    }
}

/// Refuses `{{ssm:name}}` in a value: a runbook has it as the value or default of a parameter only (parameter-store 11).
fn refuse_stored(value: &Value, at: &Pointer, place: &str, report: &mut Report) {
    match value {
        Value::String(text) => {
            if let Some(reference) = references_in(text).find(|reference| reference.starts_with("ssm:")) {
                report.error(
                    at,
                    format!(
                        "{{{{{reference}}}}} cannot stand in {place}: make it the value or the default of a parameter"
                    ),
                );
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                refuse_stored(inner, &at.index(index), place, report);
            }
        }
        Value::Object(map) => {
            for (key, inner) in map {
                refuse_stored(inner, &at.key(key), place, report);
            }
        }
        _ => {}
    }
}

fn name_of(step: &Map<String, Value>) -> Option<&str> {
    step.get("name")?.as_str()
}

/// Where a step stands.
struct Place {
    /// Its position among the outermost steps, or that of the loop around it.
    outer: usize,
    is_inner: bool,
}

struct Checker<'a> {
    setting: &'a Setting<'a>,
    variables: Option<&'a Map<String, Value>>,
    places: HashMap<&'a str, Place>,
    routes: Routes,
    report: &'a mut Report,
}

impl Checker<'_> {
    /// Checks all texts of a value that belongs to the step at `position`, if to any.
    fn value(&mut self, value: &Value, position: Option<usize>, at: &Pointer) {
        match value {
            Value::String(text) => tokens(text).for_each(|token| self.reference(token, position, at)),
            Value::Array(list) => {
                for (index, inner) in list.iter().enumerate() {
                    self.value(inner, position, &at.index(index));
                }
            }
            Value::Object(map) => map
                .iter()
                .for_each(|(key, inner)| self.value(inner, position, &at.key(key))),
            _ => {}
        }
    }

    fn reference(&mut self, token: &str, position: Option<usize>, at: &Pointer) {
        if let Some((space, name)) = token.split_once(':') {
            match space {
                "global" | "automation" if !SYSTEM.contains(&token) => {
                    self.report.error(at, format!("there is no system variable {token:?}"));
                }
                "variable" => {
                    let name = name.split(['.', '[']).next().unwrap_or(name);
                    if !self.variables.is_some_and(|variables| variables.contains_key(name)) {
                        self.report.error(at, format!("there is no variable {name:?}"));
                    }
                }
                _ => {}
            }
            return;
        }
        let name = token.split(['.', '[']).next().unwrap_or(token);
        if self.setting.parameter(name).is_some() || token == TARGET {
            return;
        }
        let is_output = token.contains('.');
        match self.places.get(name).filter(|_| is_output) {
            None if is_output => self.report.error(at, format!("there is no step or parameter {name:?}")),
            None => self.report.error(at, format!("there is no parameter {name:?}")),
            Some(place) => {
                let Some(position) = position else { return };
                // Steps of one loop run again and again, so each may look at the others and at the loop.
                let same_loop = place.outer == position && (place.is_inner || self.holds_inner(position));
                if !same_loop && !self.routes.lead(place.outer, position) {
                    self.report
                        .error(at, format!("the step {name:?} cannot have run before this one"));
                }
            }
        }
    }

    fn holds_inner(&self, position: usize) -> bool {
        self.places
            .values()
            .any(|place| place.is_inner && place.outer == position)
    }
}

/// The references in a text.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("{{").filter_map(|(start, braces)| {
        let inner = text[start + braces.len()..].trim_start_matches([' ', '\t']);
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-' | '[' | ']' | '/' | '*');
        let length = inner.find(|c| !is_part(c))?;
        let token = &inner[..length];
        let is_closed = inner[length..].trim_start_matches([' ', '\t']).starts_with("}}");
        let begins = token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let ends = !token.ends_with(['.', ':']);
        (is_closed && begins && ends).then_some(token)
    })
}
