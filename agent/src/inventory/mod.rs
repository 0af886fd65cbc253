//! What a machine has: packages, network, processors, services, files (inventory-and-compliance.md 1, 2, 4).
//!
//! Everything here is pure: the texts of tools and files in, inventory items out.
//! Who runs the tools and reads the files is `runner::gather`.

pub(crate) mod applications;
pub(crate) mod cpu;
pub(crate) mod custom;
pub(crate) mod files;
pub(crate) mod network;
pub(crate) mod services;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use muster_model::Timestamp;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Map, Value};

/// Most entries of one item.
const ENTRIES: usize = 10_000;
/// Most attributes of an entry.
pub(crate) const ATTRIBUTES: usize = 50;
/// Longest name of an attribute, in characters.
pub(crate) const NAME: usize = 64;
/// Longest value of an attribute, in characters.
pub(crate) const VALUE: usize = 4096;
/// Longest item, in bytes of its content's JSON text.
const ITEM_BYTES: usize = 3 * 1024 * 1024;
/// Longest report, in bytes of all contents' JSON texts.
const REPORT_BYTES: usize = 10 * 1024 * 1024;

/// One thing of a type: names and values, in the order of the type's attributes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Entry(Map<String, Value>);

impl Entry {
    /// Adds an attribute. Without a value it is left out; a value that is too long is cut.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.set_always(name, value);
        }
    }

    /// Adds an attribute even if its value is empty.
    pub(crate) fn set_always(&mut self, name: &str, value: &str) {
        let value: String = value.chars().take(VALUE).collect();
        self.0.insert(name.to_owned(), Value::String(value));
    }

    /// The value of an attribute, empty if it has none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// What is told about one type, in the shape of `PutInventory`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Item {
    pub(crate) type_name: String,
    pub(crate) schema_version: String,
    pub(crate) capture_time: String,
    /// SHA-256 of the content's JSON text in base64; the capture time is not part of it.
    pub(crate) content_hash: String,
    pub(crate) content: Vec<Entry>,
}

/// Why there is no report.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooBig {
    #[error("{type_name} has {entries} entries; {ENTRIES} are allowed")]
    Entries { type_name: String, entries: usize },
    #[error("{type_name} takes {bytes} bytes; {ITEM_BYTES} are allowed")]
    Item { type_name: String, bytes: usize },
    #[error("the report takes {bytes} bytes; {REPORT_BYTES} are allowed")]
    Report { bytes: usize },
}

impl Item {
    /// What was found of a type at a moment.
    pub(crate) fn new(type_name: &str, schema_version: &str, now: Timestamp, content: Vec<Entry>) -> Self {
        let text = serde_json::to_string(&content).expect("maps of texts have a JSON form");
        Self {
            type_name: type_name.to_owned(),
            schema_version: schema_version.to_owned(),
            capture_time: time(now),
            content_hash: BASE64.encode(digest(&SHA256, text.as_bytes())),
            content,
        }
    }

    fn bytes(&self) -> usize {
        serde_json::to_string(&self.content).map_or(0, |text| text.len())
    }
}

/// Holds a report to its limits.
pub(crate) fn check(items: &[Item]) -> Result<(), TooBig> {
    let mut sum = 0;
    for item in items {
        let (type_name, bytes) = (item.type_name.clone(), item.bytes());
        if item.content.len() > ENTRIES {
            let entries = item.content.len();
            return Err(TooBig::Entries { type_name, entries });
        }
        if bytes > ITEM_BYTES {
            return Err(TooBig::Item { type_name, bytes });
        }
        sum += bytes;
    }
    match sum > REPORT_BYTES {
        true => Err(TooBig::Report { bytes: sum }),
        false => Ok(()),
    }
}

/// A moment as inventory writes it.
pub(crate) fn time(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Seconds since 1970 as inventory writes a moment; empty for what is no number.
fn time_of_seconds(text: &str) -> String {
    let seconds = text.trim().parse().ok().filter(|seconds| *seconds > 0);
    let moment = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    moment.map(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        let mut entry = Entry::default();
        entry.set("Name", name);
        entry
    }

    #[test]
    fn an_item_has_the_shape_of_the_public_api_and_a_hash_of_its_content_alone() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let item = Item::new("AWS:Service", "1.0", at(0), vec![entry("ssh")]);
        let later = Item::new("AWS:Service", "1.0", at(86_400), vec![entry("ssh")]);
        let other = Item::new("AWS:Service", "1.0", at(0), vec![entry("cron")]);
        assert_eq!(
            serde_json::to_value(&item).unwrap(),
            serde_json::json!({
                "TypeName": "AWS:Service", "SchemaVersion": "1.0", "CaptureTime": "1970-01-01T00:00:00Z",
                "ContentHash": "dTKlOcTtxsw257PwL5k2I3x9KUFcrLds8AsbmasQOwY=",
                "Content": [{"Name": "ssh"}],
            })
        );
        assert_eq!(later.capture_time, "1970-01-02T00:00:00Z");
        assert_eq!(item.content_hash, later.content_hash);
        assert_ne!(item.content_hash, other.content_hash);
    }

    #[test]
    fn values_are_cut_and_empty_ones_left_out() {
        let mut entry = entry(&"ä".repeat(5_000));
        entry.set("Empty", "");
        assert_eq!(entry.get("Name").chars().count(), VALUE);
        assert_eq!(entry.0.len(), 1);
    }

    #[test]
    fn a_report_has_limits() {
        let now = Timestamp::UNIX_EPOCH;
        let many = Item::new("AWS:Application", "1.1", now, vec![entry("a"); ENTRIES + 1]);
        assert!(matches!(check(&[many]), Err(TooBig::Entries { entries, .. }) if entries == ENTRIES + 1));
        let big = Item::new("AWS:Application", "1.1", now, vec![entry(&"x".repeat(4_000)); 800]);
        assert!(matches!(check(std::slice::from_ref(&big)), Err(TooBig::Item { .. })));
        let almost = Item::new("AWS:Application", "1.1", now, vec![entry(&"x".repeat(4_000)); 700]);
        assert_eq!(check(&vec![almost.clone(); 3]), Ok(()));
        assert!(matches!(check(&vec![almost; 4]), Err(TooBig::Report { .. })));
    }
}
