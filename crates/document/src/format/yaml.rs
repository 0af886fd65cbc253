//! Reading YAML: one document, the types of the YAML 1.2 core schema, bounded in depth and in what aliases may add.
//!
//! Only what JSON can say is accepted: keys are texts, tags are those of the core schema, infinities and NaN are refused,
//! and so is a key that stands twice.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};
use serde_json::{Map, Number, Value};

use super::{Format, FormatError, MAX_DEPTH};

/// What anchors and aliases may copy in all, in nodes and bytes of text.
const EXPANSION_BUDGET: usize = 1 << 20;

/// Reads one YAML document.
pub(super) fn parse(content: &str) -> Result<Value, FormatError> {
    let mut reader = Reader {
        events: Parser::new_from_str(content),
        anchors: BTreeMap::new(),
        budget: EXPANSION_BUDGET,
    };
    reader.document().map_err(|error| FormatError::NotWellFormed {
        format: Format::Yaml,
        line: error.at.line().max(1),
        column: error.at.col() + 1,
        reason: error.reason,
    })
}

struct Refused {
    at: Marker,
    reason: Cow<'static, str>,
}

impl Refused {
    fn new(at: Marker, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            at,
            reason: reason.into(),
        }
    }
}

impl From<ScanError> for Refused {
    fn from(error: ScanError) -> Self {
        Self::new(*error.marker(), error.info().to_owned())
    }
}

/// A node that an anchor names, with what a copy of it costs and how deep it is.
struct Anchored {
    value: Value,
    weight: usize,
    depth: usize,
}

struct Reader<'input> {
    events: Parser<'input, StrInput<'input>>,
    anchors: BTreeMap<usize, Anchored>,
    budget: usize,
}

impl<'input> Reader<'input> {
    fn next(&mut self) -> Result<(Event<'input>, Marker), Refused> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(error)) => Err(error.into()),
            None => Err(Refused::new(Marker::new(0, 1, 0), "the text ends too early")),
        }
    }

    fn document(&mut self) -> Result<Value, Refused> {
        let mut value = None;
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentEnd, _) => {}
                (Event::StreamEnd, at) => return value.ok_or_else(|| Refused::new(at, "there is no document")),
                (Event::DocumentStart(_), at) if value.is_some() => {
                    return Err(Refused::new(at, "there is more than one document"));
                }
                (Event::DocumentStart(_), _) => {
                    let (event, at) = self.next()?;
                    value = Some(self.node(event, at, 0)?);
                }
                (_, at) => return Err(Refused::new(at, "expected a document")),
            }
        }
    }

    fn node(&mut self, event: Event<'input>, at: Marker, depth: usize) -> Result<Value, Refused> {
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(&text, style, tag.as_deref(), at)?),
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq", at)?;
                (anchor, self.list(deeper(depth, at)?)?)
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map", at)?;
                (anchor, self.map(deeper(depth, at)?)?)
            }
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            _ => return Err(Refused::new(at, "expected a value")),
        };
        if anchor > 0 {
            let (weight, depth) = measure(&value);
            self.spend(weight, at)?;
            self.anchors.insert(
                anchor,
                Anchored {
                    value: value.clone(),
                    weight,
                    depth,
                },
            );
        }
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Refused> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(list)),
                (event, at) => list.push(self.node(event, at, depth)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Refused> {
        let mut map = Map::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Object(map));
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let Value::String(key) = self.node(event, at, depth)? else {
                return Err(Refused::new(at, "a key is not a text; quote it"));
            };
            if map.contains_key(&key) {
                return Err(Refused::new(at, format!("the key {key:?} stands twice")));
            }
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth)?;
            if is_merge && (value.is_object() || value.is_array()) {
                // As a key of its own it would do nothing, and nobody would be told.
                return Err(Refused::new(
                    at,
                    "YAML 1.2 has no merge key <<; write the keys out, or quote it",
                ));
            }
            map.insert(key, value);
        }
    }

    fn alias(&mut self, anchor: usize, at: Marker, depth: usize) -> Result<Value, Refused> {
        // A node is known once it is complete, so a node cannot contain itself.
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Refused::new(at, "an alias stands inside the node it names"));
        };
        if depth + anchored.depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        let (value, weight) = (anchored.value.clone(), anchored.weight);
        self.spend(weight, at)?;
        Ok(value)
    }

    fn spend(&mut self, weight: usize, at: Marker) -> Result<(), Refused> {
        self.budget = self
            .budget
            .checked_sub(weight)
            .ok_or_else(|| Refused::new(at, "aliases expand to too much"))?;
        Ok(())
    }
}

fn deeper(depth: usize, at: Marker) -> Result<usize, Refused> {
    if depth < MAX_DEPTH {
        Ok(depth + 1)
    } else {
        Err(too_deep(at))
    }
}

fn too_deep(at: Marker) -> Refused {
    Refused::new(at, format!("nested deeper than {MAX_DEPTH} levels"))
}

/// Nodes and bytes of a value, and its depth.
fn measure(value: &Value) -> (usize, usize) {
    let (mut weight, mut depth) = (1, 0);
    let mut add = |inner: &Value| {
        let (w, d) = measure(inner);
        weight += w;
        depth = depth.max(d + 1);
    };
    match value {
        Value::String(text) => weight += text.len(),
        Value::Array(list) => list.iter().for_each(&mut add),
        Value::Object(map) => {
            map.values().for_each(&mut add);
            weight += map.keys().map(String::len).sum::<usize>();
        }
        _ => {}
    }
    if matches!(value, Value::Array(_) | Value::Object(_)) {
        (weight, depth.max(1))
    } else {
        (weight, 0)
    }
}

fn collection_tag(tag: Option<&Tag>, expected: &str, at: Marker) -> Result<(), Refused> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == expected => Ok(()),
        Some(_) => Err(custom_tag(at)),
    }
}

fn custom_tag(at: Marker) -> Refused {
    Refused::new(at, "tags other than those of the core schema are not allowed")
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Marker) -> Result<Value, Refused> {
    let resolved = |text: &str| resolve(text).ok_or_else(|| Refused::new(at, "the number has no JSON form"));
    let Some(tag) = tag else {
        return match style {
            ScalarStyle::Plain => resolved(text),
            _ => Ok(Value::String(text.to_owned())),
        };
    };
    if !tag.is_yaml_core_schema() {
        // A lone "!" says "do not guess": a text.
        return match tag.handle.is_empty() && tag.suffix == "!" {
            true => Ok(Value::String(text.to_owned())),
            false => Err(custom_tag(at)),
        };
    }
    let value = match tag.suffix.as_str() {
        "str" => return Ok(Value::String(text.to_owned())),
        "null" | "bool" | "int" | "float" => resolved(text)?,
        _ => return Err(custom_tag(at)),
    };
    let fits = match tag.suffix.as_str() {
        "null" => value.is_null(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64() || value.is_u64(),
        _ => value.is_number(),
    };
    if fits {
        Ok(value)
    } else {
        Err(Refused::new(at, format!("not of the type !!{}", tag.suffix)))
    }
}

/// The type of a plain scalar by the YAML 1.2 core schema; nothing for a number that JSON cannot hold.
pub(super) fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return None;
    }
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_digit(radix))
        {
            return u64::from_str_radix(digits, radix).ok().map(Value::from);
        }
    }
    if !is_decimal(unsigned) {
        return Some(Value::String(text.to_owned()));
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = text.parse::<i64>() {
        // "-0" is a float in JSON, as the other reader has it.
        return Some(if number == 0 && text.starts_with('-') {
            Value::from(-0.0)
        } else {
            Value::from(number)
        });
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(Value::from(number));
    }
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

/// Whether a text without sign is `12`, `.5`, `1.`, `1.5e-3`.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
