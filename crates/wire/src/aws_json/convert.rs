//! What a value of the text becomes in a message, and what AWS calls what was wanted.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, MapKey, Value};

use crate::shape::Kind;

/// Stands in a message for a word that the enum does not have, so that the other values keep their places.
pub(super) const UNKNOWN_WORD: i32 = i32::MIN;

/// What a number is called.
pub(super) const NUMBER: &str = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber";

/// What is wanted where something else stands.
pub(super) enum Target {
    Value(&'static str),
    List,
    Map,
    Structure,
}

pub(super) fn target(kind: &Kind) -> Target {
    match kind {
        Kind::Bool => Target::Value("Boolean"),
        Kind::I32 | Kind::U32 => Target::Value("Integer"),
        Kind::I64 | Kind::U64 => Target::Value("Long"),
        Kind::F32 => Target::Value("Float"),
        Kind::F64 => Target::Value("Double"),
        Kind::String | Kind::Enum(_) => Target::Value("String"),
        Kind::Bytes => Target::Value("Blob"),
        Kind::Timestamp(_) => Target::Value("Timestamp"),
        Kind::List(_) => Target::List,
        Kind::Map { .. } => Target::Map,
        Kind::Message(_) => Target::Structure,
        Kind::Wrapper(held) => target(&held.shape().wrapped().node.kind),
    }
}

pub(super) fn float(kind: &Kind, number: f64) -> Value {
    match kind {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a short float is what the contract asks for"
        )]
        Kind::F32 => Value::F32(number as f32),
        _ => Value::F64(number),
    }
}

pub(super) fn not_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

pub(super) fn map_key(kind: &Kind, text: &str) -> Option<MapKey> {
    match kind {
        Kind::String => Some(MapKey::String(text.to_owned())),
        Kind::Bool => text.parse().ok().map(MapKey::Bool),
        Kind::I32 => text.parse().ok().map(MapKey::I32),
        Kind::I64 => text.parse().ok().map(MapKey::I64),
        Kind::U32 => text.parse().ok().map(MapKey::U32),
        Kind::U64 => text.parse().ok().map(MapKey::U64),
        _ => None,
    }
}

/// Stands for a `null` in a list, so that the other elements keep their places. Nobody uses it: the `null` is reported.
pub(super) fn stand_in(kind: &Kind) -> Option<Value> {
    Some(match kind {
        Kind::String => Value::String(String::new()),
        Kind::Bytes => Value::Bytes(Default::default()),
        Kind::Bool => Value::Bool(false),
        Kind::Enum(_) => Value::EnumNumber(UNKNOWN_WORD),
        Kind::I32 => Value::I32(0),
        Kind::I64 => Value::I64(0),
        Kind::U32 => Value::U32(0),
        Kind::U64 => Value::U64(0),
        Kind::F32 => Value::F32(0.0),
        Kind::F64 => Value::F64(0.0),
        Kind::List(_) => Value::List(Vec::new()),
        Kind::Map { .. } => Value::Map(HashMap::new()),
        Kind::Message(held) | Kind::Wrapper(held) => {
            Value::Message(DynamicMessage::new(held.shape().descriptor.clone()))
        }
        Kind::Timestamp(_) => return None,
    })
}
