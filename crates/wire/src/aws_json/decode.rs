//! From AWS JSON to a message, in one pass over the text.
//!
//! The text is walked with serde's visitors, so that nothing is built but the message itself.
//! The depth is bounded by serde_json's own limit of 128.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::convert::{NUMBER, Target, UNKNOWN_WORD, float, map_key, not_finite, stand_in, target};
use super::time;
use crate::limits::{self, Constraint, Path, Step, Violation};
use crate::shape::{Kind, Member, Node, Shape, Vocabulary};
use crate::{Reason, Refusal};

/// Base64 as clients write it: with or without the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Violations after which no more are noted: more tell the caller nothing.
const ENOUGH: usize = 100;

/// A request that was read.
#[derive(Debug)]
pub struct Decoded {
    /// The request. If there are violations it is not to be used, except to look for more of them.
    pub message: DynamicMessage,
    /// Limits that only the text shows broken: unknown words, required lists that are absent, lists that are there
    /// but empty, `null` in lists.
    pub violations: Vec<Violation>,
}

/// Why a request could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No JSON, no object, or nested more than 128 deep.
    #[error("the body is no JSON object")]
    Malformed,
    /// A value has the wrong JSON type.
    #[error("{text} (at '{path}')")]
    Mismatch {
        /// What is wrong, in AWS's words. Says nothing of the value itself.
        text: Cow<'static, str>,
        /// Where: `targets.1.member.key`.
        path: String,
    },
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let text = match &error {
            // AWS sends no text here.
            DecodeError::Malformed => String::new(),
            DecodeError::Mismatch { .. } => error.to_string(),
        };
        Self::new(Reason::SerializationException, text)
    }
}

/// Reads a request. No text at all is read as `{}`.
///
/// # Errors
/// If the text is no JSON object, or a value has the wrong JSON type.
///
/// # Panics
/// If the message is not one of the contract.
pub fn decode(text: &[u8], of: MessageDescriptor) -> Result<Decoded, DecodeError> {
    let shape = Shape::of(&of);
    let text: &[u8] = if text.is_empty() { b"{}" } else { text };
    let start = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(shape.node.kind, Kind::Message(_)) && start != Some(&b'{') {
        return Err(DecodeError::Malformed);
    }
    let mut reading = Reading::default();
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = Seed::new(&mut reading, &shape.node).deserialize(&mut json);
    let read = read.and_then(|value| json.end().map(|()| value));
    if let Some(mismatch) = reading.mismatches.into_iter().next() {
        return Err(mismatch.into());
    }
    match read {
        Ok(Some(Value::Message(message))) => Ok(Decoded {
            message,
            violations: reading.violations,
        }),
        _ => Err(DecodeError::Malformed),
    }
}

/// What is found out on the way.
#[derive(Default)]
struct Reading {
    path: Path<'static>,
    violations: Vec<Violation>,
    /// Values of the wrong type, unless the same member came again.
    mismatches: Vec<Mismatch>,
    /// How many of the members on the way must not be shown.
    hidden: usize,
    /// Words of the member being read that its enum does not have.
    unknown_words: Vec<String>,
}

/// A value of the wrong type.
struct Mismatch {
    text: Cow<'static, str>,
    path: String,
}

impl From<Mismatch> for DecodeError {
    fn from(Mismatch { text, path }: Mismatch) -> Self {
        Self::Mismatch { text, path }
    }
}

impl Reading {
    /// Notes a value of the wrong type. The walk goes on, for its member may come again.
    fn mismatch(&mut self, text: impl Into<Cow<'static, str>>) {
        self.mismatches.push(Mismatch {
            text: text.into(),
            path: self.path.written(),
        });
    }

    fn cannot_convert(&mut self, from: &str, node: &Node) {
        self.mismatch(match target(&node.kind) {
            Target::Value(name) => Cow::Owned(format!("{from} can not be converted to an {name}")),
            Target::List => Cow::Borrowed("Expected list or null"),
            Target::Map => Cow::Borrowed("Expected map or null"),
            Target::Structure => Cow::Borrowed("Expected structure or null"),
        })
    }

    fn report(&mut self, value: Option<String>, constraint: Constraint) {
        if self.violations.len() < ENOUGH {
            self.violations.push(Violation {
                path: self.path.written(),
                value,
                constraint,
            });
        }
    }

    /// A value as it may be shown.
    fn shown(&self, node: &Node, show: impl FnOnce() -> String) -> Option<String> {
        (self.hidden == 0 && !node.sensitive).then(show)
    }

    /// Reports unknown words of a member, once it is read whole.
    fn report_words(&mut self, node: &Node, value: &Value) {
        if self.unknown_words.is_empty() {
            return;
        }
        let words = std::mem::take(&mut self.unknown_words);
        let (shown, constraint) = match &node.kind {
            Kind::Enum(known) => (limits::shortened(&words[0]), Constraint::Words(known.clone())),
            Kind::Map { value: held, .. } => (
                limits::display_with(node, value, &words),
                Constraint::Values(Constraint::all_of(held)),
            ),
            Kind::List(element) => (
                limits::display_with(node, value, &words),
                Constraint::Elements(Constraint::all_of(element)),
            ),
            // Only an enum, or what holds enums, meets an unknown word.
            _ => return,
        };
        let shown = self.shown(node, || shown);
        self.report(shown, constraint);
    }

    /// Reports a list or map that is there, but shorter than allowed: in a message, empty is absent.
    fn report_empty(&mut self, node: &Node, value: &Value) {
        for limit in node.constraints.iter().filter(|limit| limit.is_broken_by(value)) {
            let shown = self.shown(node, || limits::display(node, value));
            self.report(shown, limit.clone());
        }
    }

    fn message<'de, A: MapAccess<'de>>(&mut self, shape: &'static Shape, mut map: A) -> Result<Value, A::Error> {
        let mut message = DynamicMessage::new(shape.descriptor.clone());
        let mut empty = Vec::new();
        while let Some(member) = map.next_key_seed(Name(shape))? {
            let Some(member) = member else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            self.path.enter(Step::Member(&member.step));
            self.forget_earlier();
            self.hidden += usize::from(member.node.sensitive);
            let value = map.next_value_seed(Seed::new(self, &member.node))?;
            self.hidden -= usize::from(member.node.sensitive);
            empty.retain(|number| *number != member.field.number());
            match value {
                Some(value) => {
                    self.report_words(&member.node, &value);
                    if is_empty(&value) {
                        self.report_empty(&member.node, &value);
                        empty.push(member.field.number());
                    }
                    set(&mut message, member, value);
                }
                None => message.clear_field(&member.field),
            }
            self.path.leave();
        }
        for member in shape.members.iter().filter(|member| member.must_appear) {
            if !message.has_field(&member.field) && !empty.contains(&member.field.number()) {
                self.path.enter(Step::Member(&member.step));
                self.report(None, Constraint::NotNull);
                self.path.leave();
            }
        }
        Ok(Value::Message(message))
    }

    /// The last of two equal members wins, so what was wrong with the first does not matter.
    fn forget_earlier(&mut self) {
        if !self.violations.is_empty() || !self.mismatches.is_empty() {
            let path = self.path.written();
            let is_other = |earlier: &str| {
                let rest = earlier.strip_prefix(&path);
                !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            self.violations.retain(|earlier| is_other(&earlier.path));
            self.mismatches.retain(|earlier| is_other(&earlier.path));
        }
    }

    fn map<'de, A: MapAccess<'de>>(
        &mut self,
        key: &'static Node,
        value: &'static Node,
        mut map: A,
    ) -> Result<Value, A::Error> {
        let mut entries = HashMap::new();
        while let Some(text) = map.next_key::<String>()? {
            let Some(key) = map_key(&key.kind, &text) else {
                self.cannot_convert("class java.lang.String", key);
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            self.path.enter(Step::Entry(Cow::Owned(text)));
            self.forget_earlier();
            match map.next_value_seed(Seed::new(self, value))? {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
            self.path.leave();
        }
        Ok(Value::Map(entries))
    }

    fn list<'de, A: SeqAccess<'de>>(
        &mut self,
        node: &'static Node,
        element: &'static Node,
        mut list: A,
    ) -> Result<Value, A::Error> {
        let (mut elements, mut nulls) = (Vec::new(), Vec::new());
        for at in 0.. {
            self.path.enter(Step::Element(at));
            let read = list.next_element_seed(Seed::new(self, element))?;
            let is_last = read.is_none();
            match read {
                Some(Some(value)) => elements.push(value),
                Some(None) => {
                    // Structures have a path of their own.
                    match element.kind {
                        Kind::Message(_) => self.report(None, Constraint::NotNull),
                        _ => nulls.push(at),
                    }
                    elements.extend(stand_in(&element.kind));
                }
                None => {}
            }
            self.path.leave();
            if is_last {
                break;
            }
        }
        if !nulls.is_empty() {
            let shown = self.shown(node, || self.with_nulls(element, &elements, &nulls));
            let mut all = Constraint::all_of(element);
            all.push(Constraint::NotNull);
            self.report(shown, Constraint::Elements(all));
        }
        Ok(Value::List(elements))
    }

    /// A list as it may be shown, with what stands at these places as `null`.
    fn with_nulls(&self, element: &Node, elements: &[Value], nulls: &[usize]) -> String {
        let mut words = self.unknown_words.iter();
        let shown = elements.iter().enumerate().map(|(at, value)| match value {
            _ if nulls.contains(&at) => "null".to_owned(),
            Value::EnumNumber(UNKNOWN_WORD) => words.next().cloned().unwrap_or_default(),
            value => limits::display(element, value),
        });
        limits::shortened(&format!("[{}]", shown.collect::<Vec<_>>().join(", ")))
    }

    fn text(&mut self, node: &Node, text: &str) -> Option<Value> {
        let value = match &node.kind {
            Kind::String => Some(Value::String(text.to_owned())),
            Kind::Enum(words) => Some(Value::EnumNumber(self.word(words, text))),
            Kind::Bytes => BASE64.decode(text).ok().map(|bytes| Value::Bytes(bytes.into())),
            Kind::Timestamp(of) => time::of_text(text).map(|time| Value::Message(time::message(time, of))),
            Kind::F32 | Kind::F64 => not_finite(text).map(|number| float(&node.kind, number)),
            _ => None,
        };
        self.converted(value, "class java.lang.String", node)
    }

    fn word(&mut self, words: &Vocabulary, text: &str) -> i32 {
        words.number(text).unwrap_or_else(|| {
            self.unknown_words.push(text.to_owned());
            UNKNOWN_WORD
        })
    }

    fn integer(&mut self, node: &Node, number: i128) -> Option<Value> {
        let value = match &node.kind {
            Kind::I32 => i32::try_from(number).ok().map(Value::I32),
            Kind::I64 => i64::try_from(number).ok().map(Value::I64),
            Kind::U32 => u32::try_from(number).ok().map(Value::U32),
            Kind::U64 => u64::try_from(number).ok().map(Value::U64),
            #[expect(clippy::cast_precision_loss, reason = "a float is what the contract asks for")]
            Kind::F32 | Kind::F64 => Some(float(&node.kind, number as f64)),
            Kind::Timestamp(of) => i64::try_from(number)
                .ok()
                .and_then(time::of_integer)
                .map(|time| Value::Message(time::message(time, of))),
            _ => None,
        };
        self.converted(value, NUMBER, node)
    }

    /// The value, or a note that there is none.
    fn converted(&mut self, value: Option<Value>, from: &str, node: &Node) -> Option<Value> {
        if value.is_none() {
            self.cannot_convert(from, node);
        }
        value
    }

    fn number(&mut self, node: &Node, number: f64) -> Option<Value> {
        match &node.kind {
            Kind::F32 | Kind::F64 => Some(float(&node.kind, number)),
            Kind::Timestamp(of) => {
                let time = time::of_number(number).map(|time| Value::Message(time::message(time, of)));
                self.converted(time, NUMBER, node)
            }
            #[expect(clippy::cast_possible_truncation, reason = "below 1e18 and without a fraction")]
            _ if number.fract() == 0.0 && number.abs() < 1e18 => self.integer(node, number as i128),
            _ => self.converted(None, NUMBER, node),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    }
}

fn set(message: &mut DynamicMessage, member: &Member, value: Value) {
    message.set_field(&member.field, value);
    // A default where presence is not kept is no value: left in, the message would differ from its own bytes.
    if !message.has_field(&member.field) {
        message.clear_field(&member.field);
    }
}

/// Reads a value; `None` for `null`.
struct Seed<'r> {
    reading: &'r mut Reading,
    node: &'static Node,
}

impl<'r> Seed<'r> {
    fn new(reading: &'r mut Reading, node: &'static Node) -> Self {
        Self { reading, node }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        match &self.node.kind {
            // The wrapper is not in the text: what it stands for is.
            Kind::Wrapper(held) => {
                let shape = held.shape();
                let member = shape.wrapped();
                let value = Seed::new(self.reading, &member.node).deserialize(json)?;
                Ok(value.map(|value| {
                    let mut message = DynamicMessage::new(shape.descriptor.clone());
                    set(&mut message, member, value);
                    Value::Message(message)
                }))
            }
            _ => json.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Option<Value>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        match self.node.kind {
            Kind::Bool => Ok(Some(Value::Bool(value))),
            _ => Ok(self.reading.converted(None, "class java.lang.Boolean", self.node)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(self.reading.integer(self.node, number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(self.reading.integer(self.node, number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(self.reading.number(self.node, number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.reading.text(self.node, text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        match &self.node.kind {
            Kind::List(element) => return self.reading.list(self.node, element, list).map(Some),
            Kind::Message(_) | Kind::Map { .. } => self.reading.cannot_convert("", self.node),
            _ => self.reading.mismatch("Start of list found where not expected."),
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        match &self.node.kind {
            Kind::Message(held) => self.reading.message(held.shape(), map).map(Some),
            Kind::Map { key, value } => self.reading.map(key, value, map).map(Some),
            _ => {
                self.reading
                    .mismatch("Start of structure or map found where not expected.");
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(None)
            }
        }
    }
}

/// Reads the name of a member without copying it; `None` for one that the message does not have.
struct Name(&'static Shape);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Member>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Member>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.member(name))
    }
}
