//! `{{ name }}` in a document's inputs (documents.md 3.1).
//!
//! One pass: what was put in is never looked at again. Only names of the document's parameters are tokens;
//! everything else in double braces (Go templates, Jinja, `{{ssm:…}}`) stays as it is.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::parameter::{ParameterType, Parameters};

/// What all values put into one document may add up to, in bytes.
pub const MAX_EXPANSION: usize = 4 << 20;

/// The values put into a document are longer than [`MAX_EXPANSION`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the document with its parameters put in is longer than {MAX_EXPANSION} bytes")]
pub struct TooLong;

/// How much may still be put in; shared by all inputs of a document.
#[derive(Debug)]
pub struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_EXPANSION)
    }
}

impl Budget {
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), TooLong> {
        self.0 = self.0.checked_sub(bytes).ok_or(TooLong)?;
        Ok(())
    }
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    Literal(&'a str),
    /// `{{ name }}`: the name, and the token as written.
    Token(&'a str, &'a str),
}

/// Cuts a text into literals and tokens. A token is two braces, a name of letters, digits and `_` between optional blanks,
/// and two braces.
pub(crate) fn segments(text: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let (mut literal_from, mut cursor) = (0, 0);
    while let Some(found) = text[cursor..].find("{{") {
        let start = cursor + found;
        match token_at(&text[start..]) {
            Some((name, length)) => {
                if literal_from < start {
                    segments.push(Segment::Literal(&text[literal_from..start]));
                }
                segments.push(Segment::Token(name, &text[start..start + length]));
                cursor = start + length;
                literal_from = cursor;
            }
            None => cursor = start + 1,
        }
    }
    if literal_from < text.len() {
        segments.push(Segment::Literal(&text[literal_from..]));
    }
    segments
}

/// The token at the start of a text: its name and its length.
fn token_at(text: &str) -> Option<(&str, usize)> {
    let blank = |c: char| c == ' ' || c == '\t';
    let inner = text.strip_prefix("{{")?.trim_start_matches(blank);
    let name_length = inner
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count();
    let (name, rest) = inner.split_at(name_length);
    let rest = rest.trim_start_matches(blank).strip_prefix("}}")?;
    (!name.is_empty()).then_some((name, text.len() - rest.len()))
}

/// The names in a text's tokens, whether they are known or not.
pub(crate) fn token_names(text: &str) -> impl Iterator<Item = &str> {
    segments(text).into_iter().filter_map(|segment| match segment {
        Segment::Token(name, _) => Some(name),
        Segment::Literal(_) => None,
    })
}

/// Whether a text is exactly one token, whatever its name.
pub(crate) fn is_token(text: &str) -> bool {
    matches!(segments(text).as_slice(), [Segment::Token(..)])
}

/// Puts parameters into every text of a value; keys stay.
///
/// # Errors
/// [`TooLong`] when the budget is spent.
pub fn value(value: &Value, parameters: &Parameters, budget: &mut Budget) -> Result<Value, TooLong> {
    Ok(match value {
        Value::String(source) => match whole(source, parameters) {
            Some((raw, _)) => {
                budget.spend(weight(raw))?;
                raw.clone()
            }
            None => Value::String(text(source, parameters, budget)?),
        },
        Value::Array(list) => Value::Array(elements(list, parameters, budget)?),
        Value::Object(map) => Value::Object(members(map, parameters, budget)?),
        other => other.clone(),
    })
}

/// Puts parameters into every text of a map's values.
///
/// # Errors
/// [`TooLong`] when the budget is spent.
pub fn members(
    map: &Map<String, Value>,
    parameters: &Parameters,
    budget: &mut Budget,
) -> Result<Map<String, Value>, TooLong> {
    map.iter()
        .map(|(key, inner)| Ok((key.clone(), value(inner, parameters, budget)?)))
        .collect()
}

/// A list whose elements that are exactly a `StringList` token are replaced by that list's elements.
fn elements(list: &[Value], parameters: &Parameters, budget: &mut Budget) -> Result<Vec<Value>, TooLong> {
    let mut out = Vec::with_capacity(list.len());
    for element in list {
        if let Value::String(source) = element
            && let Some((Value::Array(inner), ParameterType::StringList | ParameterType::AwsList(_))) =
                whole(source, parameters)
        {
            budget.spend(inner.iter().map(weight).sum())?;
            out.extend(inner.iter().cloned());
        } else {
            out.push(value(element, parameters, budget)?);
        }
    }
    Ok(out)
}

/// The raw value behind a text that is exactly one known token.
pub(crate) fn whole<'p>(text: &str, parameters: &'p Parameters) -> Option<(&'p Value, &'p ParameterType)> {
    match segments(text).as_slice() {
        [Segment::Token(name, _)] => parameters.bound(name),
        _ => None,
    }
}

/// A text with parameters put in as text: strings as they are, other types as compact JSON.
///
/// # Errors
/// [`TooLong`] when the budget is spent.
pub fn text(source: &str, parameters: &Parameters, budget: &mut Budget) -> Result<String, TooLong> {
    let mut out = String::with_capacity(source.len());
    for segment in segments(source) {
        match segment {
            Segment::Literal(literal) => out.push_str(literal),
            Segment::Token(name, token) => match parameters.get(name) {
                Some(value) => {
                    let text = as_text(value);
                    budget.spend(text.len())?;
                    out.push_str(&text);
                }
                None => out.push_str(token),
            },
        }
    }
    Ok(out)
}

/// A value inside text.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(crate) fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 1,
        Value::Array(list) => 1 + list.iter().map(weight).sum::<usize>(),
        Value::Object(map) => 1 + map.iter().map(|(key, inner)| key.len() + weight(inner)).sum::<usize>(),
        _ => 8,
    }
}

/// The parameter store references in a value, `ssm:name:3` or `ssm-secure:name`, each once and in order.
///
/// They are resolved on the node, after the document's own parameters were put in (run-command.md 8.2).
#[must_use]
pub fn references(value: &Value) -> Vec<String> {
    let mut found = BTreeSet::new();
    collect_references(value, &mut found);
    found.into_iter().collect()
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => found.extend(references_in(text).map(str::to_owned)),
        Value::Array(list) => list.iter().for_each(|inner| collect_references(inner, found)),
        Value::Object(map) => map.values().for_each(|inner| collect_references(inner, found)),
        _ => {}
    }
}

/// The parameter store references in a text.
pub(crate) fn references_in(text: &str) -> impl Iterator<Item = &str> {
    reference_spans(text).map(|(_, reference)| reference)
}

/// How a reference to the parameter store is written between its braces (parameter-store 11).
struct Grammar {
    prefix: &'static str,
    /// What may stand between the braces and the reference.
    blanks: &'static [char],
    /// What its name may have besides letters, digits and `_`.
    marks: &'static [char],
}

/// `\{\{ *ssm:[/\w.:-]+ *\}\}` and `\{\{\s*ssm-secure:[\w\-./]+\s*\}\}`: a secret has no version in its name.
const GRAMMARS: [Grammar; 2] = [
    Grammar {
        prefix: "ssm:",
        blanks: &[' '],
        marks: &['/', '.', ':', '-'],
    },
    Grammar {
        prefix: "ssm-secure:",
        blanks: &[' ', '\t', '\n', '\r', '\x0c'],
        marks: &['/', '.', '-'],
    },
];

/// The parameter store references in a text, each with the bytes from brace to brace.
pub(crate) fn reference_spans(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    text.match_indices("{{").filter_map(|(start, braces)| {
        let inner = &text[start + braces.len()..];
        let (reference, rest) = GRAMMARS.iter().find_map(|grammar| grammar.read(inner))?;
        Some((start..text.len() - rest.len(), reference))
    })
}

impl Grammar {
    /// The reference that a text begins with behind its opening braces, and what follows the closing ones.
    fn read<'a>(&self, inner: &'a str) -> Option<(&'a str, &'a str)> {
        let reference = inner.trim_start_matches(self.blanks);
        let name = reference.strip_prefix(self.prefix)?;
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || self.marks.contains(&c);
        let length = name.find(|c| !is_part(c)).filter(|length| *length > 0)?;
        let rest = name[length..].trim_start_matches(self.blanks).strip_prefix("}}")?;
        Some((&reference[..self.prefix.len() + length], rest))
    }
}
