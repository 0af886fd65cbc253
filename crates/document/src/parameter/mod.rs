//! A document's parameters: how they are declared, and what is given for them in a run (documents.md 3, run-command.md 2.3).

mod definition;
mod given;
mod java;
mod pattern;

use std::fmt;

use serde_json::Value;

pub use given::{MAX_VARIABLE_BYTES, ParameterError, ParameterRule, Parameters, check_parameters};
pub use pattern::{Pattern, PatternError};

pub(crate) use definition::read_parameters;

/// The type of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ParameterType {
    /// A text.
    String,
    /// A list of texts.
    StringList,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A map.
    StringMap,
    /// A list of maps.
    MapList,
    /// `AWS::…`, a text with a meaning; Automation only.
    Aws(Box<str>),
    /// `List<AWS::…>`, a list of such; Automation only. Holds the whole word.
    AwsList(Box<str>),
}

impl ParameterType {
    /// The type that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "String" => Self::String,
            "StringList" => Self::StringList,
            "Boolean" => Self::Boolean,
            "Integer" => Self::Integer,
            "StringMap" => Self::StringMap,
            "MapList" => Self::MapList,
            _ if word.starts_with("AWS::") => Self::Aws(word.into()),
            _ if word.starts_with("List<AWS::") && word.ends_with('>') => Self::AwsList(word.into()),
            _ => return None,
        })
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::String => "String",
            Self::StringList => "StringList",
            Self::Boolean => "Boolean",
            Self::Integer => "Integer",
            Self::StringMap => "StringMap",
            Self::MapList => "MapList",
            Self::Aws(word) | Self::AwsList(word) => word,
        }
    }

    /// Whether its values are texts, one or several: what patterns and character limits apply to.
    fn is_textual(&self) -> bool {
        matches!(self, Self::String | Self::StringList | Self::Aws(_) | Self::AwsList(_))
    }

    /// Whether a value has several elements: what item limits apply to.
    fn is_list(&self) -> bool {
        matches!(self, Self::StringList | Self::MapList | Self::AwsList(_))
    }
}

impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A parameter as a document declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    name: String,
    kind: ParameterType,
    description: Option<String>,
    /// As written and as a value of the type.
    default: Option<(Value, Value)>,
    allowed_values: Option<Vec<Value>>,
    allowed_pattern: Option<Pattern>,
    items: Bounds,
    chars: Bounds,
    is_variable: bool,
}

/// A least and a greatest number, where stated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bounds {
    min: Option<u64>,
    max: Option<u64>,
}

impl Parameter {
    /// The name: letters and digits, in automations `_` as well.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The declared type.
    #[must_use]
    pub fn kind(&self) -> &ParameterType {
        &self.kind
    }

    /// What it is for.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The default as a value of the declared type.
    #[must_use]
    pub fn default_value(&self) -> Option<&Value> {
        self.default.as_ref().map(|(_, value)| value)
    }

    /// The default as `DescribeDocument` shows it: a string as it is, everything else as JSON text.
    #[must_use]
    pub fn default_text(&self) -> Option<String> {
        self.default
            .as_ref()
            .map(|(written, _)| crate::interpolate::as_text(written))
    }

    /// Whether the value reaches scripts as an environment variable instead of as text (`interpolationType: ENV_VAR`).
    #[must_use]
    pub fn is_variable(&self) -> bool {
        self.is_variable
    }

    /// The environment variable of such a parameter, `SSM_` and the name.
    #[must_use]
    pub fn variable_name(&self) -> String {
        variable_name(&self.name)
    }
}

/// The environment variable of a parameter.
pub(crate) fn variable_name(parameter: &str) -> String {
    format!("SSM_{parameter}")
}
