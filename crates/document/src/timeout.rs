//! Execution timeouts (run-command.md 6).

use serde_json::Value;

use crate::Document;
use crate::interpolate::{self, Budget};
use crate::parameter::Parameters;
use crate::platform::Platform;

/// Seconds a step may run when it does not say.
pub const DEFAULT_SECONDS: u64 = 3600;
/// The shortest execution timeout, in seconds.
pub const MIN_SECONDS: u64 = 5;
/// The longest execution timeout, in seconds: two days.
pub const MAX_SECONDS: u64 = 172_800;

/// The document parameter whose value AWS adds to a command's delivery timeout.
const EXECUTION_TIMEOUT: &str = "executionTimeout";

/// What became of a timeout as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeout {
    /// Between [`MIN_SECONDS`] and [`MAX_SECONDS`].
    pub(crate) seconds: u64,
    /// Whether the document said so itself.
    pub(crate) is_given: bool,
    /// What the reader of the run should know about it.
    pub(crate) note: Option<&'static str>,
}

impl Timeout {
    /// Reads a timeout after parameters were put in: a number or a numeric text; nothing and an empty text mean the default.
    pub(crate) fn read(value: Option<&Value>) -> Self {
        let default = Self {
            seconds: DEFAULT_SECONDS,
            is_given: false,
            note: None,
        };
        let number = match value {
            None | Some(Value::Null) => return default,
            Some(Value::String(text)) if text.trim().is_empty() => return default,
            Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
            Some(Value::Number(number)) => number.as_f64(),
            Some(_) => None,
        };
        match number.filter(|seconds| !seconds.is_nan()) {
            None => Self {
                note: Some("timeoutSeconds is not a number; 3600 seconds apply"),
                ..default
            },
            Some(seconds) if seconds < MIN_SECONDS as f64 => Self {
                seconds: MIN_SECONDS,
                is_given: true,
                note: Some("timeoutSeconds was raised to 5"),
            },
            Some(seconds) if seconds > MAX_SECONDS as f64 => Self {
                seconds: MAX_SECONDS,
                is_given: true,
                note: Some("timeoutSeconds was lowered to 172800"),
            },
            // Between the bounds, so the cast loses a fraction of a second at most.
            Some(seconds) => Self {
                seconds: seconds.ceil() as u64,
                is_given: true,
                note: None,
            },
        }
    }
}

/// The execution part of a command's `ExpiresAfter`, in seconds.
///
/// That is the parameter `executionTimeout`, or 3600 in a document without it; or, if that is more, what the steps that can run on
/// one platform may take together as far as they say so, because a running step must not be declared undelivered.
#[must_use]
pub fn execution_seconds(document: &Document, parameters: &Parameters) -> u64 {
    let base = Timeout::read(parameters.get(EXECUTION_TIMEOUT)).seconds;
    let longest = Platform::ALL
        .into_iter()
        .map(|platform| stated_seconds(document, parameters, platform))
        .max();
    longest.map_or(base, |longest| longest.max(base))
}

/// The sum of the timeouts that the steps for a platform state.
fn stated_seconds(document: &Document, parameters: &Parameters, platform: Platform) -> u64 {
    document
        .steps()
        .iter()
        .filter(|step| step.action().runs_on(platform))
        .filter(|step| {
            step.precondition()
                .is_none_or(|condition| condition.holds(platform, parameters) != Ok(false))
        })
        .flat_map(|step| step.parts())
        .filter_map(|part| {
            let written = part.timeout()?;
            let value = interpolate::value(written, parameters, &mut Budget::default()).ok()?;
            Some(Timeout::read(Some(&value))).filter(|timeout| timeout.is_given)
        })
        .map(|timeout| timeout.seconds)
        .sum()
}
