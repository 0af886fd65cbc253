//! `allowedPattern`: regular expressions as Java writes them, searched for in a value with bounded effort.

use std::fmt;

use fancy_regex::{Regex, RegexBuilder};

/// How often a search may go back before it gives up.
const BACKTRACK_LIMIT: usize = 100_000;
/// The most bytes a compiled pattern may take.
const COMPILED_LIMIT: usize = 1 << 20;

/// A compiled `allowedPattern`.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a regular expression, or one that is too big.
    #[error("allowedPattern is not a usable regular expression")]
    Unusable,
    /// The search needs too many steps.
    #[error("allowedPattern cannot be matched in reasonable time")]
    TooCostly,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`PatternError::Unusable`].
    pub fn new(source: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(source)
            .backtrack_limit(BACKTRACK_LIMIT)
            .delegate_size_limit(COMPILED_LIMIT)
            .build()
            .map_err(|_| PatternError::Unusable)?;
        Ok(Self {
            source: source.to_owned(),
            regex,
        })
    }

    /// Whether the pattern is found in a text; a pattern that means the whole text says so with `^` and `$`.
    ///
    /// # Errors
    /// [`PatternError::TooCostly`].
    pub fn find(&self, text: &str) -> Result<bool, PatternError> {
        self.regex.is_match(text).map_err(|_| PatternError::TooCostly)
    }

    /// The pattern as the document writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.source).finish()
    }
}
