//! `precondition: { StringEquals: [a, b] }`, the condition under which a 2.2 step runs (documents.md 4.1).

use serde_json::Value;

use crate::finding::{Pointer, Report};
use crate::interpolate::{self, Budget};
use crate::parameter::{Parameter, Parameters};
use crate::platform::Platform;

const OPERATOR: &str = "StringEquals";
const PLATFORM_TYPE: &str = "platformType";

/// Two operands that must be equal for a step to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    operands: [Operand; 2],
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    /// The bare word `platformType`: the node's own.
    PlatformType,
    /// A text, perhaps with parameters in it.
    Text(String),
}

impl Operand {
    fn has_token(&self) -> bool {
        matches!(self, Self::Text(text) if text.contains("{{"))
    }
}

/// Why a condition has no answer; the step fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreconditionError {
    /// A parameter's value refers to the parameter store.
    #[error("a precondition cannot depend on the parameter store")]
    StoreReference,
    /// The values make the operands too long to compare.
    #[error("the precondition's operands become too long")]
    TooLong,
}

impl Precondition {
    /// Whether the condition can hold on a platform, whatever the parameters are.
    #[must_use]
    pub fn admits(&self, platform: Platform) -> bool {
        match &self.operands {
            [Operand::PlatformType, other] | [other, Operand::PlatformType] => match other {
                Operand::Text(word) => other.has_token() || platform.is_named(word),
                Operand::PlatformType => true,
            },
            _ => true,
        }
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// When a parameter's value makes it meaningless.
    pub fn holds(&self, platform: Platform, parameters: &Parameters) -> Result<bool, PreconditionError> {
        let mut texts = Vec::with_capacity(2);
        for operand in &self.operands {
            let text = match operand {
                Operand::PlatformType => None,
                Operand::Text(text) => {
                    let text = interpolate::text(text, parameters, &mut Budget::default())
                        .map_err(|_| PreconditionError::TooLong)?;
                    if !interpolate::references(&Value::String(text.clone())).is_empty() {
                        return Err(PreconditionError::StoreReference);
                    }
                    Some(text)
                }
            };
            texts.push(text);
        }
        Ok(match (&texts[0], &texts[1]) {
            (None, Some(word)) | (Some(word), None) => platform.is_named(word),
            (one, other) => one == other,
        })
    }

    /// Reads a precondition; findings go to `report`.
    pub(crate) fn read(value: &Value, at: &Pointer, parameters: &[Parameter], report: &mut Report) -> Option<Self> {
        let Value::Object(map) = value else {
            report.error(at, "a precondition is a map with the one operator StringEquals");
            return None;
        };
        let mut operators = map.iter();
        let (Some((operator, operands)), None) = (operators.next(), operators.next()) else {
            report.error(at, "a precondition has exactly one operator");
            return None;
        };
        let at = at.key(operator);
        if operator != OPERATOR {
            report.error(&at, "unknown operator; a precondition knows StringEquals only");
            return None;
        }
        let Some([Value::String(one), Value::String(other)]) = operands.as_array().map(Vec::as_slice) else {
            report.error(&at, "StringEquals takes a list of exactly two texts");
            return None;
        };
        let operands = [one, other].map(|text| match text.as_str() {
            PLATFORM_TYPE => Operand::PlatformType,
            _ => Operand::Text(text.clone()),
        });
        check(&operands, &at, parameters, report).then_some(Self { operands })
    }
}

/// Whether two operands make a condition that can be told from a constant.
fn check(operands: &[Operand; 2], at: &Pointer, parameters: &[Parameter], report: &mut Report) -> bool {
    let depends = |operand: &Operand| match operand {
        Operand::PlatformType => true,
        Operand::Text(text) => {
            interpolate::token_names(text).any(|name| parameters.iter().any(|parameter| parameter.name() == name))
        }
    };
    for operand in operands {
        if let Operand::Text(text) = operand
            && !interpolate::references(&Value::String(text.clone())).is_empty()
        {
            report.error(at, "a precondition cannot refer to the parameter store");
            return false;
        }
    }
    if operands[0] == operands[1] {
        report.error(at, "the two operands are the same");
        return false;
    }
    if !operands.iter().any(depends) {
        report.error(
            at,
            "one operand must be platformType or contain a parameter of the document",
        );
        return false;
    }
    if let [Operand::PlatformType, Operand::Text(word)] | [Operand::Text(word), Operand::PlatformType] = operands
        && !word.contains("{{")
        && !Platform::ALL.iter().any(|platform| platform.is_named(word))
    {
        report.warn(
            at,
            "no platform has this name (Windows, Linux, MacOS): the step never runs",
        );
    }
    true
}
