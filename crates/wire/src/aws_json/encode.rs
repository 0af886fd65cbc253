//! From a message to AWS JSON.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use super::time;
use crate::shape::{Kind, Member, Node, Shape, key_text};

/// Writes a message as AWS JSON. Members come in the contract's order, entries of maps sorted by key.
///
/// # Panics
/// If the message is not one of the contract.
#[must_use]
pub fn encode(message: &DynamicMessage) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let shape = Shape::of(&message.descriptor());
    match &shape.node.kind {
        Kind::Message(_) => write_message(&mut out, shape, message),
        Kind::Wrapper(_) => write_wrapped(&mut out, shape.wrapped(), message),
        _ => time::write(&mut out, message),
    }
    out
}

fn write_message(out: &mut Vec<u8>, shape: &Shape, message: &DynamicMessage) {
    let mut list = Listing::open(out, b'{');
    for member in &shape.members {
        let present = message.has_field(&member.field);
        if !present && !member.emit_empty {
            continue;
        }
        let value = message.get_field(&member.field);
        let is_empty_word = member.empty_word && *value == Value::EnumNumber(0);
        if present && !is_said(&member.node, &value) && !is_empty_word {
            continue;
        }
        list.next(out);
        write_text(out, &member.name);
        out.push(b':');
        write_value(out, &member.node, &value);
    }
    out.push(b'}');
}

fn write_wrapped(out: &mut Vec<u8>, member: &Member, message: &DynamicMessage) {
    write_value(out, &member.node, &message.get_field(&member.field));
}

fn write_value(out: &mut Vec<u8>, node: &Node, value: &Value) {
    match (&node.kind, value) {
        (_, Value::String(text)) => write_text(out, text),
        (_, Value::Bool(value)) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        (_, Value::I32(number)) => write_number(out, *number),
        (_, Value::I64(number)) => write_number(out, *number),
        (_, Value::U32(number)) => write_number(out, *number),
        (_, Value::U64(number)) => write_number(out, *number),
        (_, Value::F32(number)) => write_float(out, f64::from(*number)),
        (_, Value::F64(number)) => write_float(out, *number),
        (_, Value::Bytes(bytes)) => write_text(out, &STANDARD.encode(bytes)),
        (Kind::Enum(words), Value::EnumNumber(number)) => write_text(out, words.word(*number).unwrap_or_default()),
        (Kind::Timestamp(_), Value::Message(message)) => time::write(out, message),
        (Kind::Message(held), Value::Message(message)) => write_message(out, held.shape(), message),
        (Kind::Wrapper(held), Value::Message(message)) => write_wrapped(out, held.shape().wrapped(), message),
        (Kind::List(element), Value::List(values)) => {
            let mut list = Listing::open(out, b'[');
            for value in values.iter().filter(|value| is_said(element, value)) {
                list.next(out);
                write_value(out, element, value);
            }
            out.push(b']');
        }
        (Kind::Map { value: held, .. }, Value::Map(map)) => {
            let mut entries: Vec<_> = map.iter().filter(|(_, value)| is_said(held, value)).collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            let mut list = Listing::open(out, b'{');
            for (key, value) in entries {
                list.next(out);
                write_text(out, &key_text(key));
                out.push(b':');
                write_value(out, held, value);
            }
            out.push(b'}');
        }
        // Values are made for their fields, so there is no other pair.
        _ => out.extend_from_slice(b"null"),
    }
}

/// A number without a word is not said: the public surface knows words only.
fn is_said(node: &Node, value: &Value) -> bool {
    match (&node.kind, value) {
        (Kind::Enum(words), Value::EnumNumber(number)) => words.word(*number).is_some(),
        _ => true,
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text is written into memory");
}

fn write_number(out: &mut Vec<u8>, number: impl std::fmt::Display) {
    write!(out, "{number}").expect("a number is written into memory");
}

/// JSON has no word for what is not finite; AWS writes it as text.
fn write_float(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        serde_json::to_writer(out, &number).expect("a number is written into memory");
    } else if number.is_nan() {
        write_text(out, "NaN");
    } else {
        write_text(out, if number > 0.0 { "Infinity" } else { "-Infinity" });
    }
}

/// Puts commas between items.
struct Listing {
    first: bool,
}

impl Listing {
    fn open(out: &mut Vec<u8>, bracket: u8) -> Self {
        out.push(bracket);
        Self { first: true }
    }

    fn next(&mut self, out: &mut Vec<u8>) {
        if !self.first {
            out.push(b',');
        }
        self.first = false;
    }
}
