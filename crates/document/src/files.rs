//! `files`: the attached files that a document speaks of, with what they must be (documents.md 2).

use serde_json::Value;

use crate::finding::{Pointer, Report};

/// A file that is attached to a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedFile {
    name: String,
    sha256: Option<String>,
    size: Option<u64>,
}

impl AttachedFile {
    /// The name, unique in the document.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SHA-256 that the file must have, 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// Bytes, if the document says so.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }
}

/// Reads `files`; findings go to `report`.
pub(crate) fn read(value: Option<&Value>, at: &Pointer, report: &mut Report) -> Vec<AttachedFile> {
    match value {
        None => Vec::new(),
        Some(Value::Object(files)) => files
            .iter()
            .filter_map(|(name, file)| read_file(name, file, &at.key(name), report))
            .collect(),
        Some(_) => {
            report.error(at, "files must be a map");
            Vec::new()
        }
    }
}

fn read_file(name: &str, file: &Value, at: &Pointer, report: &mut Report) -> Option<AttachedFile> {
    let Value::Object(map) = file else {
        report.error(at, "a file is a map with its checksums");
        return None;
    };
    let sha256 = match map.get("checksums") {
        None => {
            report.warn(at, "the file has no checksums; nothing tells it from another one");
            None
        }
        Some(Value::Object(checksums)) => match checksums.get("sha256") {
            None => None,
            Some(Value::String(digits)) if is_sha256(digits) => Some(digits.to_ascii_lowercase()),
            Some(_) => {
                let at = at.key("checksums").key("sha256");
                report.error(&at, "a SHA-256 has 64 hexadecimal digits");
                None
            }
        },
        Some(_) => {
            report.error(&at.key("checksums"), "checksums must be a map");
            None
        }
    };
    let size = match map.get("size") {
        None => None,
        Some(Value::Number(number)) if number.is_u64() => number.as_u64(),
        Some(_) => {
            report.error(&at.key("size"), "size must be a whole number of bytes");
            None
        }
    };
    Some(AttachedFile {
        name: name.to_owned(),
        sha256,
        size,
    })
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
