//! The body of schema 1.2: `runtimeConfig`, a map from plugin to its properties (documents.md 2).

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::action::Action;
use crate::finding::{Pointer, Report};
use crate::step::{Part, Setting, Step, check_inputs, check_settings, unknown_action};

const KEYS: &[&str] = &["properties", "settings", "description"];

/// Reads the plugins in the document's order; findings go to `report`.
pub(crate) fn read(document: &Map<String, Value>, setting: &Setting<'_>, report: &mut Report) -> Vec<Step> {
    let at = Pointer::root().key("runtimeConfig");
    let plugins = match document.get("runtimeConfig") {
        Some(Value::Object(plugins)) if !plugins.is_empty() => plugins,
        Some(Value::Object(_)) => {
            report.error(&at, "there must be at least one plugin");
            return Vec::new();
        }
        Some(_) => {
            report.error(&at, "runtimeConfig must be a map");
            return Vec::new();
        }
        None => {
            report.error(&at, "runtimeConfig is missing");
            return Vec::new();
        }
    };
    plugins
        .iter()
        .filter_map(|(name, plugin)| read_plugin(name, plugin, setting, &at.key(name), report))
        .collect()
}

fn read_plugin(name: &str, plugin: &Value, setting: &Setting<'_>, at: &Pointer, report: &mut Report) -> Option<Step> {
    let Some(action) = Action::find(name, setting.schema) else {
        unknown_action(name, setting.schema, at, report);
        return None;
    };
    let Value::Object(map) = plugin else {
        report.error(at, "a plugin is a map");
        return None;
    };
    for key in map.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        report.warn(&at.key(key), "unknown key; it has no effect");
    }
    if let Some(settings) = map.get("settings").filter(|_| action.has_settings()) {
        check_settings(settings, &at.key("settings"), report);
    }
    let parts = match action.has_settings() {
        // Its properties may be anything, and its settings count.
        true => vec![Part {
            id: default_id(action, 0),
            inputs: map.clone(),
            step_timeout: None,
        }],
        false => read_properties(map, action, setting, at, report)?,
    };
    Some(Step {
        name: action.name().to_owned(),
        action,
        precondition: None,
        parts,
    })
}

fn read_properties(
    plugin: &Map<String, Value>,
    action: &'static Action,
    setting: &Setting<'_>,
    at: &Pointer,
    report: &mut Report,
) -> Option<Vec<Part>> {
    let at = at.key("properties");
    let list = match plugin.get("properties") {
        Some(Value::Object(map)) => vec![(map, at)],
        Some(Value::Array(list)) if !list.is_empty() => {
            let mut maps = Vec::with_capacity(list.len());
            for (position, element) in list.iter().enumerate() {
                match element {
                    Value::Object(map) => maps.push((map, at.index(position))),
                    _ => report.error(&at.index(position), "properties are maps"),
                }
            }
            maps
        }
        Some(_) => {
            report.error(&at, "properties must be a map, or a list of at least one map");
            return None;
        }
        None => {
            report.error(&at, "the plugin has no properties");
            return None;
        }
    };
    let mut ids = HashSet::new();
    let mut parts = Vec::with_capacity(list.len());
    for (position, (map, at)) in list.into_iter().enumerate() {
        check_inputs(map, action, setting, &at, report);
        let id = match map.get("id") {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            _ => default_id(action, position),
        };
        if !ids.insert(id.clone()) {
            report.warn(&at.key("id"), "another set of properties has this id");
        }
        parts.push(Part {
            id,
            inputs: map.clone(),
            step_timeout: None,
        });
    }
    Some(parts)
}

/// What authors usually write: `0.aws:runShellScript`.
fn default_id(action: &Action, position: usize) -> String {
    format!("{position}.{}", action.name())
}
