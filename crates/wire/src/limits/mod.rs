//! The limits of the contract, enforced the same way on every surface (aws-json-gateway 4).
//!
//! [`check`] walks a message and finds every broken limit: required members, lengths, ranges, patterns, enum words,
//! in lists and maps too. [`refuse`] turns what it found into one refusal with AWS's text.
//!
//! Limits stand in the `.proto` files only. They are read once; a check then costs microseconds.
//!
//! What a message cannot tell, JSON can: whether a list was absent or empty, and which unknown word an enum had.
//! The codec ([`crate::aws_json::decode`]) reports those; [`message`] takes both reports as one and says nothing twice.

mod check;
mod constraint;
mod display;
mod path;
mod pattern;

use std::fmt;

use prost_reflect::{DynamicMessage, MessageDescriptor};

use crate::shape::Shape;
use crate::{Reason, Refusal};

pub use crate::shape::Vocabulary;
pub use constraint::Constraint;
pub use pattern::Pattern;

pub(crate) use display::{display, display_with, shortened};
pub(crate) use path::{Path, Step};

/// Length after which [`message`] only counts what else is wrong, in bytes: errors travel in headers.
const LONGEST_MESSAGE: usize = 3000;

/// A value that breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where it stands: `targets.1.member.key`.
    pub path: String,
    /// The value, shortened. `None` if it is absent or must not be shown.
    pub value: Option<String>,
    /// The limit.
    pub constraint: Constraint,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(out, "Value '{value}' at ")?,
            None if self.constraint == Constraint::NotNull => out.write_str("Value null at ")?,
            None => out.write_str("Value at ")?,
        }
        write!(out, "'{}' failed to satisfy constraint: {}", self.path, self.constraint)
    }
}

/// Finds the broken limits of a message, in the order of its members, at most 100.
///
/// # Panics
/// If the message is not one of the contract.
#[must_use]
pub fn check(message: &DynamicMessage) -> Vec<Violation> {
    check::check(message)
}

/// Whether a message of this type can break a limit at all.
///
/// # Panics
/// If the message is not one of the contract.
#[must_use]
pub fn is_constrained(message: &MessageDescriptor) -> bool {
    Shape::of(message).constrained
}

/// The text of one ValidationException for all violations.
///
/// The same limit at the same place is named once, and what breaks a limit is not also called absent.
/// A very long list is cut and says how many items are missing.
#[must_use]
pub fn message(violations: &[Violation]) -> String {
    let items = worth_saying(violations);
    let plural = if items.len() == 1 { "" } else { "s" };
    let mut text = format!("{} validation error{plural} detected: ", items.len());
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            text.push_str("; ");
            if text.len() > LONGEST_MESSAGE {
                text.push_str(&format!("and {} more", items.len() - at));
                break;
            }
        }
        text.push_str(&item.to_string());
    }
    text
}

fn worth_saying(violations: &[Violation]) -> Vec<&Violation> {
    let all = violations.iter().enumerate();
    all.filter(|(at, violation)| !is_said_elsewhere(violation, *at, violations))
        .map(|(_, violation)| violation)
        .collect()
}

fn is_said_elsewhere(violation: &Violation, at: usize, all: &[Violation]) -> bool {
    all.iter().enumerate().any(|(other_at, other)| {
        let elements = |violation: &Violation| matches!(violation.constraint, Constraint::Elements(_));
        // The text knows of a `null` in a list, which the message does not.
        let is_same = other.constraint == violation.constraint || (elements(other) && elements(violation));
        let same_limit = is_same && other_at < at;
        let present = violation.constraint == Constraint::NotNull && other.constraint != Constraint::NotNull;
        // In what is null there is nothing.
        let in_null = other.constraint == Constraint::NotNull
            && violation
                .path
                .strip_prefix(&other.path)
                .is_some_and(|rest| rest.starts_with('.'));
        (other.path == violation.path && (same_limit || present)) || in_null
    })
}

/// The refusal that names all violations. Its word is an enum's own where nothing but words of that enum is wrong.
#[must_use]
pub fn refuse(violations: &[Violation]) -> Refusal {
    let own = |violation: &Violation| match &violation.constraint {
        Constraint::Words(words) => words.refusal(),
        _ => None,
    };
    let said = worth_saying(violations);
    let first = said.first().copied().and_then(own);
    let reason = first.filter(|reason| said.iter().all(|violation| own(violation) == Some(*reason)));
    Refusal::new(reason.unwrap_or(Reason::ValidationException), message(violations))
}
