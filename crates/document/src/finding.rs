//! What is wrong with a document, and where.
//!
//! A check never stops at the first mistake: it adds a [`Finding`] and goes on, so that an author sees everything at once.
//! Messages name keys, parameters and steps; they never repeat a parameter's value.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is accepted; its author probably meant something else.
    Warning,
}

/// One thing that is wrong, or odd, about a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it blocks.
    pub severity: Severity,
    /// Where: a JSON pointer into the document, empty for the whole.
    pub path: String,
    /// What, in one clause without a final point.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// Which error a refused document is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `MaxDocumentSizeExceeded`.
    TooLarge,
    /// `InvalidDocumentSchemaVersion`: unknown, or not for this document type.
    SchemaVersion,
    /// `InvalidDocumentContent`: everything else.
    Content,
}

/// The findings that made a document unacceptable: at least one error, in the order of the checks, warnings among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    kind: Kind,
    all: Vec<Finding>,
}

impl Findings {
    /// The error that stands for all of them.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Errors and warnings in the order of the checks.
    #[must_use]
    pub fn all(&self) -> &[Finding] {
        &self.all
    }

    /// The errors only.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.all.iter().filter(|finding| finding.severity == Severity::Error)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, finding) in self.errors().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}

/// At most this many errors, and as many warnings, are kept; of more it is said how many they are.
/// A hostile document must not make an answer longer than itself.
const MAX_FINDINGS: usize = 100;

/// Collects findings during the checks.
#[derive(Debug, Default)]
pub(crate) struct Report {
    kind: Option<Kind>,
    all: Vec<Finding>,
    /// Errors and warnings that are not in `all`.
    more_errors: usize,
    more_warnings: usize,
}

impl Report {
    /// Adds an error about the content.
    pub(crate) fn error(&mut self, at: &Pointer, message: impl Into<String>) {
        self.refuse(Kind::Content, at, message);
    }

    /// Adds an error of a kind; the first error's kind stands for all.
    pub(crate) fn refuse(&mut self, kind: Kind, at: &Pointer, message: impl Into<String>) {
        self.kind.get_or_insert(kind);
        self.add(Severity::Error, at, message.into());
    }

    /// Adds a warning.
    pub(crate) fn warn(&mut self, at: &Pointer, message: impl Into<String>) {
        self.add(Severity::Warning, at, message.into());
    }

    fn add(&mut self, severity: Severity, at: &Pointer, message: String) {
        let kept = self.all.iter().filter(|finding| finding.severity == severity).count();
        if kept < MAX_FINDINGS {
            self.all.push(Finding {
                severity,
                path: at.0.clone(),
                message,
            });
            return;
        }
        match severity {
            Severity::Error => self.more_errors += 1,
            Severity::Warning => self.more_warnings += 1,
        }
    }

    /// The warnings, if nothing blocks.
    pub(crate) fn verdict(mut self) -> Result<Vec<Finding>, Findings> {
        for (severity, more) in [
            (Severity::Error, self.more_errors),
            (Severity::Warning, self.more_warnings),
        ] {
            if more > 0 {
                self.all.push(Finding {
                    severity,
                    path: String::new(),
                    message: format!("and {more} more"),
                });
            }
        }
        match self.kind {
            Some(kind) => Err(Findings { kind, all: self.all }),
            None => Ok(self.all),
        }
    }
}

/// A place in a document, as a JSON pointer (RFC 6901).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pointer(String);

impl Pointer {
    /// The whole document.
    pub(crate) fn root() -> Self {
        Self::default()
    }

    /// The member `name` of this place.
    pub(crate) fn key(&self, name: &str) -> Self {
        Self(format!("{}/{}", self.0, name.replace('~', "~0").replace('/', "~1")))
    }

    /// The element `position` of this place.
    pub(crate) fn index(&self, position: usize) -> Self {
        Self(format!("{}/{position}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_what_a_json_pointer_must_escape() {
        assert_eq!(Pointer::root().key("a/b~c").index(3).0, "/a~1b~0c/3");
    }

    #[test]
    fn the_first_error_names_the_kind_and_warnings_do_not_show_in_the_message() {
        let mut report = Report::default();
        report.warn(&Pointer::root(), "odd");
        report.refuse(Kind::SchemaVersion, &Pointer::root().key("schemaVersion"), "unknown");
        report.error(&Pointer::root(), "broken");
        let findings = report.verdict().unwrap_err();
        assert_eq!(findings.kind(), Kind::SchemaVersion);
        assert_eq!(findings.to_string(), "/schemaVersion: unknown; broken");
        assert_eq!(findings.all().len(), 3);
    }

    #[test]
    fn an_error_is_kept_after_any_number_of_warnings() {
        let mut report = Report::default();
        for _ in 0..200 {
            report.warn(&Pointer::root(), "odd");
        }
        report.error(&Pointer::root(), "broken");
        let findings = report.verdict().unwrap_err();
        assert_eq!(findings.to_string(), "broken");
        assert_eq!(findings.all().len(), MAX_FINDINGS + 2);
        assert_eq!(findings.all().last().unwrap().message, "and 100 more");
    }

    #[test]
    fn errors_that_are_not_listed_are_counted() {
        let mut report = Report::default();
        for _ in 0..MAX_FINDINGS + 12 {
            report.error(&Pointer::root().key("a"), "broken");
        }
        let text = report.verdict().unwrap_err().to_string();
        assert_eq!(text.matches("/a: broken").count(), MAX_FINDINGS);
        assert!(text.ends_with("; and 12 more"), "{text}");
    }
}
