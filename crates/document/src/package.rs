//! Package documents: the manifest of a software package, which file is for which system (documents.md 1).

use serde_json::{Map, Value};

use crate::files::{self, AttachedFile};
use crate::finding::{Pointer, Report};

/// Checks a manifest; findings go to `report`. Its files are given back.
pub(crate) fn read(document: &Map<String, Value>, report: &mut Report) -> Vec<AttachedFile> {
    let root = Pointer::root();
    for key in ["description", "publisher", "version"] {
        if document.get(key).is_some_and(|value| !value.is_string()) {
            report.error(&root.key(key), format!("{key} must be a text"));
        }
    }
    let files = files::read(document.get("files"), &root.key("files"), report);
    let at = root.key("packages");
    match document.get("packages") {
        Some(Value::Object(platforms)) if !platforms.is_empty() => {
            for (platform, versions) in platforms {
                check_level(versions, &at.key(platform), LEVELS, &files, report);
            }
        }
        Some(Value::Object(_)) => report.error(&at, "there must be at least one platform"),
        Some(_) => report.error(&at, "packages must be a map"),
        None => report.error(&at, "packages is missing"),
    }
    files
}

/// What a platform's map and the maps in it are keyed by.
const LEVELS: &[&str] = &["versions of the platform", "architectures"];

fn check_level(value: &Value, at: &Pointer, levels: &[&str], files: &[AttachedFile], report: &mut Report) {
    let Some((level, inner)) = levels.split_first() else {
        return check_choice(value, at, files, report);
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                check_level(value, &at.key(key), inner, files, report);
            }
        }
        _ => report.error(at, format!("must be a map of {level}")),
    }
}

/// The file for one system: `{file: name}`.
fn check_choice(value: &Value, at: &Pointer, files: &[AttachedFile], report: &mut Report) {
    match value.get("file") {
        Some(Value::String(name)) if files.iter().any(|file| file.name() == name) => {}
        Some(Value::String(_)) => report.error(&at.key("file"), "files has no file of this name"),
        Some(_) => report.error(&at.key("file"), "file must be a text"),
        None => report.error(at, "the package names no file"),
    }
}
