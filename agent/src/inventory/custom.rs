//! Items that somebody else on the machine writes: `Custom:…` (inventory-and-compliance.md 4.3).

use std::collections::HashSet;

use muster_model::Timestamp;
use serde_json::{Map, Value};

use super::{ATTRIBUTES, Entry, Item, NAME, VALUE};

/// Most files in the directory.
pub(crate) const FILES: usize = 20;
/// Longest name of a type.
const TYPE_NAME: usize = 100;

/// The items in these files (name and text), and a line for each that is left out.
pub(crate) fn items(files: &[(String, String)], now: Timestamp) -> (Vec<Item>, Vec<String>) {
    let (mut items, mut notes, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (file, text) in files {
        match item(text, now) {
            Ok(item) if seen.insert(item.type_name.clone()) => items.push(item),
            Ok(item) => notes.push(format!(
                "{file}: another file has {} already; it is left out",
                item.type_name
            )),
            Err(why) => notes.push(format!("{file}: {why}; it is left out")),
        }
    }
    (items, notes)
}

fn item(text: &str, now: Timestamp) -> Result<Item, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let (type_name, version) = (word("TypeName"), word("SchemaVersion"));
    if !type_name.starts_with("Custom:") || type_name.chars().count() > TYPE_NAME {
        return Err(format!(
            "TypeName must begin with Custom: and have at most {TYPE_NAME} characters"
        ));
    }
    if !is_version(version) {
        return Err("SchemaVersion must look like 1.0".to_owned());
    }
    let content = match value.get("Content") {
        Some(Value::Object(one)) => vec![entry(one)?],
        Some(Value::Array(several)) => several
            .iter()
            .map(|one| {
                one.as_object()
                    .ok_or_else(|| "Content has an element that is no map".to_owned())
            })
            .map(|one| entry(one?))
            .collect::<Result<_, _>>()?,
        _ => return Err("Content must be a map or a list of maps".to_owned()),
    };
    Ok(Item::new(type_name, version, now, content))
}

fn entry(attributes: &Map<String, Value>) -> Result<Entry, String> {
    if attributes.len() > ATTRIBUTES {
        return Err(format!("an entry has more than {ATTRIBUTES} attributes"));
    }
    let mut entry = Entry::default();
    for (name, value) in attributes {
        let value = value
            .as_str()
            .ok_or_else(|| format!("the value of {name:?} is no text"))?;
        if name.is_empty() || name.chars().count() > NAME {
            return Err(format!("an attribute's name must have 1 to {NAME} characters"));
        }
        if value.chars().count() > VALUE {
            return Err(format!("the value of {name:?} has more than {VALUE} characters"));
        }
        entry.set_always(name, value);
    }
    Ok(entry)
}

fn is_version(text: &str) -> bool {
    let is_number = |part: &str| (1..=6).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.')
        .is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[test]
    fn good_files_are_told_and_bad_ones_explained() {
        let rack = r#"{"SchemaVersion": "1.0", "TypeName": "Custom:Rack", "Content": {"Row": "7", "Empty": ""}}"#;
        let files = [
            file("a.json", rack),
            file("b.json", &rack.replace("\"7\"", "\"8\"")),
            file(
                "c.json",
                r#"{"SchemaVersion": "1.0", "TypeName": "Custom:List", "Content": [{"A": "1"}, {"A": "2"}]}"#,
            ),
            file("d.json", "not json"),
            file("e.json", &rack.replace("Custom:Rack", "custom:Rack")),
            file("f.json", &rack.replace("1.0", "1")),
            file("g.json", &rack.replace("\"7\"", "7")),
            file(
                "h.json",
                &rack.replace("\"7\"", &format!("\"{}\"", "x".repeat(VALUE + 1))),
            ),
        ];
        let (items, notes) = items(&files, Timestamp::UNIX_EPOCH);
        let seen: Vec<_> = items
            .iter()
            .map(|item| (item.type_name.as_str(), item.content.len()))
            .collect();
        assert_eq!(seen, [("Custom:Rack", 1), ("Custom:List", 2)]);
        assert_eq!(items[0].content[0].get("Row"), "7");
        assert_eq!(notes.len(), 6);
        for (note, file) in notes.iter().zip(["b.", "d.", "e.", "f.", "g.", "h."]) {
            assert!(note.starts_with(file), "{note}");
        }
    }
}
