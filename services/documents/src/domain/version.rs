//! Which version of a document a caller means.

use std::fmt;

/// What `DocumentVersion` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// `$DEFAULT`.
    Default,
    /// `$LATEST`.
    Latest,
    /// A number, from 1.
    Number(i64),
}

impl Which {
    /// Reads a `DocumentVersion`, whose shape was checked by the contract.
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "$DEFAULT" => Self::Default,
            "$LATEST" => Self::Latest,
            // A number beyond all numbers is one that no version has.
            digits => Self::Number(digits.parse().unwrap_or(i64::MAX)),
        }
    }
}

/// A version by `DocumentVersion`, by `VersionName`, or by both, which must then agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    /// Absent together with the name: `$DEFAULT`.
    pub(crate) which: Option<Which>,
    pub(crate) name: Option<String>,
}

impl Selector {
    /// What the two members of a request say.
    pub(crate) fn new(version: Option<&str>, name: Option<String>) -> Self {
        Self {
            which: version.map(Which::parse),
            name,
        }
    }

    /// Nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        self.which.is_none() && self.name.is_none()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.which {
            Some(Which::Default) => f.write_str("$DEFAULT")?,
            Some(Which::Latest) => f.write_str("$LATEST")?,
            Some(Which::Number(number)) => write!(f, "{number}")?,
            None if self.name.is_none() => f.write_str("$DEFAULT")?,
            None => {}
        }
        match (&self.name, self.which) {
            (Some(name), None) => write!(f, "called {name}"),
            (Some(name), Some(_)) => write!(f, " called {name}"),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_word_or_a_number() {
        assert_eq!(Which::parse("$DEFAULT"), Which::Default);
        assert_eq!(Which::parse("$LATEST"), Which::Latest);
        assert_eq!(Which::parse("17"), Which::Number(17));
        assert_eq!(Which::parse("99999999999999999999999"), Which::Number(i64::MAX));
    }

    #[test]
    fn a_selector_is_shown_as_it_was_given() {
        let check = |version, name: Option<&str>, shown: &str| {
            assert_eq!(Selector::new(version, name.map(str::to_owned)).to_string(), shown);
        };
        check(None, None, "$DEFAULT");
        check(Some("$LATEST"), None, "$LATEST");
        check(None, Some("blue"), "called blue");
        check(Some("3"), Some("blue"), "3 called blue");
    }
}
