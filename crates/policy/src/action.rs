//! Actions, `ssm:SendCommand`, and globs of them. Case means nothing.

use std::fmt;
use std::str::FromStr;

use crate::glob::Glob;
use crate::refusal::{Rule, shown};

/// A text that is no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an action such as \"ssm:SendCommand\"")]
pub struct ActionError(String);

/// Something that is done. Two actions that differ in case only are the same.
#[derive(Debug, Clone)]
pub struct Action {
    text: String,
    folded: String,
}

impl Action {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }
}

impl FromStr for Action {
    type Err = ActionError;

    fn from_str(text: &str) -> Result<Self, ActionError> {
        let is_action = text
            .split_once(':')
            .is_some_and(|(service, name)| is_service(service) && !name.is_empty() && name.bytes().all(is_of_name));
        match is_action {
            true => Ok(Self {
                text: text.to_owned(),
                folded: text.to_ascii_lowercase(),
            }),
            false => Err(ActionError(shown(text))),
        }
    }
}

impl PartialEq for Action {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for Action {}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_service(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// `*`, or a service and a glob of its actions.
#[derive(Debug, Clone)]
pub(crate) struct ActionPattern {
    text: String,
    glob: Glob,
}

impl ActionPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, (Rule, String)> {
        let is_part = |byte: u8| is_of_name(byte) || byte == b'*' || byte == b'?';
        let is_pattern = text == "*"
            || text
                .split_once(':')
                .is_some_and(|(service, name)| is_service(service) && !name.is_empty() && name.bytes().all(is_part));
        match is_pattern {
            true => Ok(Self {
                text: text.to_owned(),
                glob: Glob::parse(&text.to_ascii_lowercase()),
            }),
            false => Err((
                Rule::Action,
                format!("{} is neither \"*\" nor of the form \"service:Action\"", shown(text)),
            )),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, action: &Action) -> bool {
        self.glob.matches(action.folded())
    }
}
