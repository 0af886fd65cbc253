//! The texts that documents are written in: JSON, YAML, or anything at all.
//!
//! Both read into the same ordered [`Value`] and can be written from it, with the order of keys and the types kept.
//! Neither falls back to the other: a text declared JSON that is only valid YAML is refused.

mod emit;
mod json;
mod yaml;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// The deepest nesting of maps and lists that is read.
pub const MAX_DEPTH: usize = 64;

/// The language of a document's text, as `DocumentFormat` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON, the default.
    Json,
    /// YAML 1.2 with the core schema.
    Yaml,
    /// Text that is not looked into.
    Text,
}

/// A word that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a document format: JSON, YAML or TEXT")]
pub struct UnknownFormat;

impl Format {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Text => "TEXT",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        [Self::Json, Self::Yaml, Self::Text]
            .into_iter()
            .find(|format| format.as_str() == word)
            .ok_or(UnknownFormat)
    }
}

/// A text that is not what its format says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The text does not follow the language's rules.
    #[error("{format} not well-formed. at Line: {line}, Column: {column}{}", detail(reason))]
    NotWellFormed {
        /// The language.
        format: Format,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What the reader stumbled over; may be empty.
        reason: Cow<'static, str>,
    },
    /// The text has no form in the wanted format.
    #[error("a document in {from} format cannot be shown as {to}")]
    NoConversion {
        /// What it is.
        from: Format,
        /// What was asked for.
        to: Format,
    },
}

fn detail(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    }
}

/// Reads a text into an ordered value; [`Format::Text`] becomes a string.
///
/// # Errors
/// [`FormatError::NotWellFormed`] with line and column.
pub fn parse(content: &str, format: Format) -> Result<Value, FormatError> {
    match format {
        Format::Json => json::parse(content),
        Format::Yaml => yaml::parse(content),
        Format::Text => Ok(Value::String(content.to_owned())),
    }
}

/// Writes a value as JSON or YAML; reading the result gives the same value.
///
/// # Errors
/// [`FormatError::NoConversion`] for [`Format::Text`], unless the value is a string.
pub fn render(value: &Value, format: Format) -> Result<String, FormatError> {
    match (format, value) {
        (Format::Json, _) => Ok(serde_json::to_string_pretty(value).expect("a JSON value always has a text")),
        (Format::Yaml, _) => Ok(emit::emit(value)),
        (Format::Text, Value::String(text)) => Ok(text.clone()),
        (Format::Text, _) => Err(FormatError::NoConversion {
            from: Format::Json,
            to: Format::Text,
        }),
    }
}

/// Shows a stored document in another format; in its own it comes back byte for byte.
///
/// # Errors
/// [`FormatError::NoConversion`] from or to [`Format::Text`]; [`FormatError::NotWellFormed`] if it never was well-formed.
pub fn convert(content: &str, from: Format, to: Format) -> Result<String, FormatError> {
    if from == to {
        return Ok(content.to_owned());
    }
    if from == Format::Text || to == Format::Text {
        return Err(FormatError::NoConversion { from, to });
    }
    render(&parse(content, from)?, to)
}
