//! Random documents for any message of the contract.
//!
//! They are made from descriptors and options alone, so that they judge the codec instead of agreeing with it.

use muster_proto::facts;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// Depth after which messages stay empty: some hold themselves.
const DEEPEST: usize = 5;

/// Random decisions, taken from bytes so that proptest can shrink them; when they are used up, all are 0.
pub(crate) struct Choices<'a>(std::slice::Iter<'a, u8>);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    /// One of `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    fn text(&mut self) -> String {
        const LETTERS: [&str; 8] = ["a", "Z", "-", "é", "\"", "\\", "\n", "\u{1f600}"];
        let length = self.below(6);
        (0..length).map(|_| LETTERS[self.below(LETTERS.len())]).collect()
    }
}

/// All messages of the contract that stand for themselves in JSON.
pub(crate) fn messages() -> Vec<MessageDescriptor> {
    muster_proto::pool()
        .all_messages()
        .filter(|each| each.full_name().starts_with("muster.") && !each.is_map_entry())
        .collect()
}

/// A document whose members are all of the right type.
pub(crate) fn document(of: &MessageDescriptor, choices: &mut Choices<'_>, depth: usize) -> Value {
    if facts::message(of).transparent {
        let only = of.fields().next().expect("a transparent message has one member");
        return member(&only, choices, depth, true);
    }
    let mut object = Map::new();
    let chosen: Vec<FieldDescriptor> = of
        .oneofs()
        .filter(|oneof| !oneof.is_synthetic())
        .filter_map(|oneof| {
            let fields: Vec<_> = oneof.fields().collect();
            fields.get(choices.below(fields.len() + 1)).cloned()
        })
        .collect();
    for field in of.fields() {
        let in_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
        let emit_empty = facts::field(&field).emit_empty;
        let present = if in_oneof {
            chosen.contains(&field)
        } else {
            emit_empty || (depth < DEEPEST && choices.below(3) > 0)
        };
        if present {
            let value = member(&field, choices, depth, emit_empty);
            object.insert(field.json_name().to_owned(), value);
        }
    }
    Value::Object(object)
}

fn member(field: &FieldDescriptor, choices: &mut Choices<'_>, depth: usize, may_be_empty: bool) -> Value {
    let least = usize::from(!may_be_empty);
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let value = entry.map_entry_value_field();
        let count = least + choices.below(3);
        let entries = (0..count).map(|at| {
            let key = format!("{at}{}", choices.text());
            (key, single(&value, choices, depth, true))
        });
        return Value::Object(entries.collect());
    }
    if field.is_list() {
        let count = least + choices.below(3);
        return (0..count).map(|_| single(field, choices, depth, true)).collect();
    }
    single(field, choices, depth, field.supports_presence())
}

/// `default_counts`: a default value is a value, and does not mean absent.
fn single(field: &FieldDescriptor, choices: &mut Choices<'_>, depth: usize, default_counts: bool) -> Value {
    let integer = |choices: &mut Choices<'_>, least: i64, most: i64| {
        let span = most.abs_diff(least).saturating_add(1).max(1);
        let number = least.saturating_add_unsigned(choices.number() % span);
        if number == 0 && !default_counts { 1 } else { number }
    };
    match field.kind() {
        Kind::Bool => Value::from(!default_counts || choices.below(2) > 0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer(choices, i32::MIN.into(), i32::MAX.into()).into(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => integer(choices, i64::MIN, i64::MAX).into(),
        Kind::Uint32 | Kind::Fixed32 => integer(choices, 0, u32::MAX.into()).into(),
        Kind::Uint64 | Kind::Fixed64 => Value::from(choices.number() | u64::from(!default_counts)),
        Kind::Float | Kind::Double => json!(0.5 + f64::from(choices.byte())),
        Kind::String if default_counts => Value::from(choices.text()),
        Kind::String => Value::from(format!("x{}", choices.text())),
        Kind::Bytes => {
            use base64::Engine as _;
            let text = format!("{}x", choices.text());
            Value::from(base64::engine::general_purpose::STANDARD.encode(text))
        }
        Kind::Enum(each) => {
            let words = facts::words(&each);
            if words.is_empty() {
                let names: Vec<_> = each.values().map(|value| value.name().to_owned()).collect();
                Value::from(names[(1 + choices.below(names.len())).min(names.len() - 1)].clone())
            } else {
                Value::from(words[choices.below(words.len())].clone())
            }
        }
        Kind::Message(each) if each.full_name() == "google.protobuf.Timestamp" => {
            let seconds = integer(choices, 0, 4_000_000_000);
            match choices.below(3) {
                0 => json!(seconds),
                #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
                decimals => json!(seconds as f64 + [0.5, 0.125][decimals - 1]),
            }
        }
        Kind::Message(each) => document(&each, choices, depth + 1),
    }
}
