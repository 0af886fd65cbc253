//! What is wrong with a configuration, without what stands in it: there may be passwords in it, and the complaint goes to
//! the log.

use std::fmt;

/// Where and why a text does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFitting {
    line: Option<usize>,
    why: String,
}

impl NotFitting {
    /// Of the reader's error about `text`; without a text there is no line to name.
    pub(super) fn of(error: &toml::de::Error, text: &str) -> Self {
        let place = error.span().and_then(|span| text.get(..span.start));
        Self {
            line: place
                .filter(|_| !text.is_empty())
                .map(|before| before.matches('\n').count() + 1),
            why: without_values(error.message()),
        }
    }
}

impl fmt::Display for NotFitting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl std::error::Error for NotFitting {}

/// "invalid type: string "…", expected u64" says what was found; what was expected is enough.
fn without_values(message: &str) -> String {
    match (message.split_once(": "), message.rsplit_once(", expected ")) {
        (Some((kind, _)), Some((_, expected))) if kind.starts_with("invalid ") => {
            format!("{kind}, expected {expected}")
        }
        _ => message.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    #[test]
    fn complaints_tell_where_and_why_and_never_what_stands_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        for (text, words) in [
            ("log = \"info\"\nserver = \"nats://me:hunter2@host\n", "line 2"),
            ("server = nats://me:hunter2@host", "line 1"),
            ("concurrency = \"hunter2\"", "expected u32"),
            ("[environment]\nPIN = [\"hunter2\"]", "expected a string"),
            ("servre = \"hunter2\"", "servre"),
        ] {
            std::fs::write(&path, text).unwrap();
            let complaint = crate::daemon::describe(&Settings::load(&path).unwrap_err());
            assert!(complaint.contains(words), "{complaint}");
            assert!(!complaint.contains("hunter2"), "{complaint}");
        }
    }
}
