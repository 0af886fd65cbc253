//! What can be wrong with a value, in the words AWS uses for it (aws-json-gateway 4).

use std::fmt::{self, Write as _};
use std::sync::Arc;

use prost_reflect::Value;

use super::Pattern;
use crate::shape::{Kind, Node, Vocabulary};

/// A limit of the contract. `Display` gives AWS's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// The member is required.
    NotNull,
    /// At most so many characters, bytes, elements or entries.
    MaxLength(i64),
    /// At least so many characters, bytes, elements or entries.
    MinLength(i64),
    /// At most this number.
    Max(i64),
    /// At least this number.
    Min(i64),
    /// The whole text matches.
    Pattern(Arc<Pattern>),
    /// One of these words.
    Words(Arc<Vocabulary>),
    /// Limits of each simple value in a list.
    Elements(Vec<Self>),
    /// Limits of each key of a map.
    Keys(Vec<Self>),
    /// Limits of each simple value in a map.
    Values(Vec<Self>),
}

impl Constraint {
    /// Whether this value breaks the limit; what is inside it is not looked at.
    pub(crate) fn is_broken_by(&self, value: &Value) -> bool {
        match self {
            Self::MaxLength(most) => length(value).is_some_and(|length| length > *most),
            Self::MinLength(least) => length(value).is_some_and(|length| length < *least),
            Self::Max(most) => number(value).is_some_and(|number| number > i128::from(*most)),
            Self::Min(least) => number(value).is_some_and(|number| number < i128::from(*least)),
            Self::Pattern(pattern) => value.as_str().is_some_and(|text| !pattern.matches(text)),
            Self::Words(words) => value
                .as_enum_number()
                .is_some_and(|number| words.word(number).is_none()),
            Self::NotNull | Self::Elements(_) | Self::Keys(_) | Self::Values(_) => false,
        }
    }

    /// All limits of a value and of the simple values in it.
    pub(crate) fn all_of(node: &Node) -> Vec<Self> {
        let mut all = node.constraints.clone();
        match &node.kind {
            Kind::List(element) => all.extend(some(Self::all_of(element), Self::Elements)),
            Kind::Map { key, value } => {
                all.extend(some(Self::all_of(key), Self::Keys));
                all.extend(some(Self::all_of(value), Self::Values));
            }
            Kind::Wrapper(held) => all.extend(Self::all_of(&held.shape().wrapped().node)),
            _ => {}
        }
        all
    }
}

fn some(limits: Vec<Constraint>, of: fn(Vec<Constraint>) -> Constraint) -> Option<Constraint> {
    (!limits.is_empty()).then(|| of(limits))
}

fn length(value: &Value) -> Option<i64> {
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return None,
    };
    i64::try_from(length).ok()
}

fn number(value: &Value) -> Option<i128> {
    match value {
        Value::I32(number) => Some((*number).into()),
        Value::I64(number) => Some((*number).into()),
        Value::U32(number) => Some((*number).into()),
        Value::U64(number) => Some((*number).into()),
        _ => None,
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNull => out.write_str("Member must not be null"),
            Self::MaxLength(most) => write!(out, "Member must have length less than or equal to {most}"),
            Self::MinLength(least) => write!(out, "Member must have length greater than or equal to {least}"),
            Self::Max(most) => write!(out, "Member must have value less than or equal to {most}"),
            Self::Min(least) => write!(out, "Member must have value greater than or equal to {least}"),
            Self::Pattern(pattern) => write!(
                out,
                "Member must satisfy regular expression pattern: {}",
                pattern.text()
            ),
            Self::Words(words) => {
                out.write_str("Member must satisfy enum value set: ")?;
                listed(out, words.words())
            }
            Self::Elements(limits) => {
                out.write_str("Member must satisfy constraint: ")?;
                listed(out, limits)
            }
            Self::Keys(limits) => {
                out.write_str("Map keys must satisfy constraint: ")?;
                listed(out, limits)
            }
            Self::Values(limits) => {
                out.write_str("Map value must satisfy constraint: ")?;
                listed(out, limits)
            }
        }
    }
}

/// `[a, b]`
fn listed(out: &mut fmt::Formatter<'_>, items: impl IntoIterator<Item = impl fmt::Display>) -> fmt::Result {
    out.write_char('[')?;
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.write_str(", ")?;
        }
        write!(out, "{item}")?;
    }
    out.write_char(']')
}
