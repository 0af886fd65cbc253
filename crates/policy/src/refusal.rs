//! Why a text is no policy.

use std::fmt;

/// The rule that a refused policy breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// More than 65,536 bytes.
    TooLarge,
    /// No JSON.
    NotJson,
    /// A member stands twice.
    DuplicateMember,
    /// A member that the language does not have here.
    UnknownElement,
    /// A member that must be there is not.
    MissingElement,
    /// Two members of which only one may be there.
    Conflict,
    /// Something else than the text, list or object that belongs here.
    WrongType,
    /// A list or an object without content.
    Empty,
    /// Another language than that of 2012-10-17.
    Version,
    /// Neither `Allow` nor `Deny`.
    Effect,
    /// A statement's id that is not made of letters and digits.
    Sid,
    /// No action and no glob of actions.
    Action,
    /// No ARN, no glob of ARNs, and not `*`.
    Resource,
    /// An operator that the language does not have.
    UnknownOperator,
    /// A condition key that the language does not have.
    UnknownKey,
    /// A variable that the language does not have.
    UnknownVariable,
    /// An operator that does not fit the key.
    Unfit,
    /// A value that the operator cannot use.
    Value,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "too large",
            Self::NotJson => "not JSON",
            Self::DuplicateMember => "duplicate member",
            Self::UnknownElement => "unknown element",
            Self::MissingElement => "missing element",
            Self::Conflict => "conflicting elements",
            Self::WrongType => "wrong type",
            Self::Empty => "empty",
            Self::Version => "bad version",
            Self::Effect => "bad effect",
            Self::Sid => "bad Sid",
            Self::Action => "bad action",
            Self::Resource => "bad resource",
            Self::UnknownOperator => "unknown operator",
            Self::UnknownKey => "unknown condition key",
            Self::UnknownVariable => "unknown variable",
            Self::Unfit => "operator does not fit the key",
            Self::Value => "bad value",
        })
    }
}

/// Why a text was refused as a policy: the first thing that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    path: String,
    rule: Rule,
    detail: String,
}

impl PolicyError {
    pub(crate) fn new(at: &Path, rule: Rule, detail: impl Into<String>) -> Self {
        let (path, detail) = (at.0.clone(), detail.into());
        Self { path, rule, detail }
    }

    /// Where: a JSON pointer such as `/Statement/0/Action/1`; empty for the whole.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Which rule.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "policy" } else { &self.path };
        write!(f, "{path}: {}: {}", self.rule, self.detail)
    }
}

impl std::error::Error for PolicyError {}

/// A place in a policy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn key(&self, name: &str) -> Self {
        // Names come from outside; a line break in one must not make two lines of a log.
        let name = cut(name)
            .replace('~', "~0")
            .replace('/', "~1")
            .replace(char::is_control, "\u{fffd}");
        Self(format!("{}/{name}", self.0))
    }

    pub(crate) fn index(&self, position: usize) -> Self {
        Self(format!("{}/{position}", self.0))
    }
}

/// A text of the policy as a message shows it: quoted, and cut where it would be longer than the message.
pub(crate) fn shown(text: &str) -> String {
    format!("{:?}", cut(text))
}

fn cut(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
