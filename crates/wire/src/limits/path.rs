//! Where in a request a value stands: `targets.1.member.key`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Longest key of a map that a path repeats, in characters.
const LONGEST_KEY: usize = 64;

/// A way from the request to a value. Cheap to walk, written out only when something is wrong.
#[derive(Debug, Default)]
pub(crate) struct Path<'a>(Vec<Step<'a>>);

/// A step on the way.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// Into a member, by its name with the first letter lowered.
    Member(&'a str),
    /// Into an element of a list, counted from 0.
    Element(usize),
    /// Into a value of a map.
    Entry(Cow<'a, str>),
}

impl<'a> Path<'a> {
    pub(crate) fn enter(&mut self, step: Step<'a>) {
        self.0.push(step);
    }

    pub(crate) fn leave(&mut self) {
        self.0.pop();
    }

    /// The path in AWS's form: elements are counted from 1, and what is in a list or map is a `member`.
    pub(crate) fn written(&self) -> String {
        let mut text = String::new();
        for step in &self.0 {
            if !text.is_empty() {
                text.push('.');
            }
            match step {
                Step::Member(name) => text.push_str(name),
                Step::Element(at) => {
                    let _ = write!(text, "{}.member", at + 1);
                }
                Step::Entry(key) => {
                    text.extend(key.chars().take(LONGEST_KEY));
                    text.push_str(".member");
                }
            }
        }
        text
    }
}
