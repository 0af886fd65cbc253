//! A value as the text of a violation repeats it: `[a, b]` for a list, cut where it gets long.

use prost_reflect::Value;

use crate::shape::{Kind, Node, key_text};

/// Longest repetition of a value, in characters. An error must fit into the headers it travels in.
const LONGEST: usize = 256;

/// The value as text. The caller has made sure that it may be shown.
pub(crate) fn display(node: &Node, value: &Value) -> String {
    display_with(node, value, &[])
}

/// The same, with the words that stood where the value has numbers without a word, in their order.
pub(crate) fn display_with(node: &Node, value: &Value, unknown_words: &[String]) -> String {
    let mut text = Text {
        written: String::new(),
        left: LONGEST,
        unknown_words: unknown_words.iter(),
    };
    if text.value(node, value).is_none() {
        text.written.push_str("...");
    }
    text.written
}

/// Text as a caller wrote it, cut where it gets long.
pub(crate) fn shortened(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}

struct Text<'a> {
    written: String,
    left: usize,
    unknown_words: std::slice::Iter<'a, String>,
}

impl Text<'_> {
    /// `None` when the space is used up.
    fn value(&mut self, node: &Node, value: &Value) -> Option<()> {
        match (&node.kind, value) {
            (_, Value::String(text)) => self.push(text),
            (_, Value::Bool(value)) => self.push(&value.to_string()),
            (_, Value::I32(number)) => self.push(&number.to_string()),
            (_, Value::I64(number)) => self.push(&number.to_string()),
            (_, Value::U32(number)) => self.push(&number.to_string()),
            (_, Value::U64(number)) => self.push(&number.to_string()),
            (_, Value::F32(number)) => self.push(&number.to_string()),
            (_, Value::F64(number)) => self.push(&number.to_string()),
            (Kind::Enum(words), Value::EnumNumber(number)) => {
                if let Some(word) = words.word(*number) {
                    self.push(word)
                } else if let Some(word) = self.unknown_words.next() {
                    self.push(word)
                } else {
                    self.push(&number.to_string())
                }
            }
            (Kind::List(element), Value::List(list)) => {
                self.push("[")?;
                for (at, value) in list.iter().enumerate() {
                    if at > 0 {
                        self.push(", ")?;
                    }
                    self.value(element, value)?;
                }
                self.push("]")
            }
            (Kind::Map { value: held, .. }, Value::Map(map)) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                self.push("{")?;
                for (at, (key, value)) in entries.into_iter().enumerate() {
                    if at > 0 {
                        self.push(", ")?;
                    }
                    self.push(&key_text(key))?;
                    self.push("=")?;
                    self.value(held, value)?;
                }
                self.push("}")
            }
            (Kind::Wrapper(held), Value::Message(message)) => {
                let member = held.shape().wrapped();
                self.value(&member.node, &message.get_field(&member.field))
            }
            (Kind::Message(held), Value::Message(_)) => {
                self.push(held.shape().descriptor.name())?;
                self.push("(...)")
            }
            // Bytes, points in time: nothing a reader could compare.
            _ => self.push("..."),
        }
    }

    fn push(&mut self, text: &str) -> Option<()> {
        for letter in text.chars() {
            self.left = self.left.checked_sub(1)?;
            self.written.push(letter);
        }
        Some(())
    }
}
