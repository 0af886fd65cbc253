//! The AWS JSON codec: two bytes that choose a message of the contract, then the body.
//!
//! What is read without a violation is written and read again as the same message.

use std::sync::LazyLock;

use muster_wire::{aws_json, limits};
use prost_reflect::MessageDescriptor;

/// All messages of the contract that stand for themselves in JSON, by name.
static MESSAGES: LazyLock<Vec<MessageDescriptor>> = LazyLock::new(|| {
    let mut all: Vec<_> = muster_proto::pool()
        .all_messages()
        .filter(|each| each.full_name().starts_with("muster.") && !each.is_map_entry())
        .collect();
    all.sort_by(|one, other| one.full_name().cmp(other.full_name()));
    all
});

/// The two bytes that choose the message of this full name.
pub(crate) fn choice(full_name: &str) -> [u8; 2] {
    let position = MESSAGES.iter().position(|each| each.full_name() == full_name);
    let position = position.expect("the contract has the message");
    u16::try_from(position)
        .expect("fewer than 65,536 messages")
        .to_be_bytes()
}

/// Reads, checks, writes and reads again.
pub fn run(bytes: &[u8]) {
    let [one, other, body @ ..] = bytes else { return };
    let position = usize::from(u16::from_be_bytes([*one, *other])) % MESSAGES.len();
    let of = MESSAGES[position].clone();
    let Ok(decoded) = aws_json::decode(body, of.clone()) else {
        return;
    };
    let is_clean = decoded.violations.is_empty();
    let mut violations = decoded.violations;
    violations.extend(limits::check(&decoded.message));
    let text = limits::message(&violations);
    assert!(text.len() < 100_000, "an answer of {} bytes", text.len());
    let written = aws_json::encode(&decoded.message);
    if is_clean {
        let again = aws_json::decode(&written, of).expect("what was written can be read");
        assert!(again.violations.is_empty() || !violations.is_empty());
        assert_eq!(aws_json::encode(&again.message), written);
    }
}
