//! The values given for a run: checked against the definitions and made into values of the declared types.
//!
//! Values are sensitive: no error, no `Debug` output and no log ever contains one.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::{Bounds, Parameter, ParameterType, variable_name};
use crate::Document;
use crate::content::MAX_BYTES;
use crate::interpolate;

/// The most bytes that the value of an environment variable may have: systems refuse more than 128 KiB for name and value.
pub const MAX_VARIABLE_BYTES: usize = 128 * 1024;

/// A parameter that cannot be accepted, and the rule it breaks. Never shows the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter {name}: {rule}")]
pub struct ParameterError {
    /// The parameter's name.
    pub name: String,
    /// What it must be.
    pub rule: ParameterRule,
}

/// The rules for given values (run-command.md 2.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterRule {
    /// The document declares no such parameter.
    #[error("the document does not support it")]
    Undeclared,
    /// It has no default and was not given.
    #[error("it is required")]
    Required,
    /// Several values for a type that has one.
    #[error("it takes exactly one value")]
    OneValue,
    /// Not of the declared type.
    #[error("the value is not of type {0}")]
    Type(ParameterType),
    /// Not among the allowed values.
    #[error("the value is not among allowedValues")]
    AllowedValues,
    /// Not matched by the allowed pattern.
    #[error("the value does not match allowedPattern")]
    AllowedPattern,
    /// The pattern needs too many steps for this value.
    #[error("the value cannot be matched against allowedPattern in reasonable time")]
    PatternTooCostly,
    /// Too few elements.
    #[error("it needs at least {0} elements (minItems)")]
    MinItems(u64),
    /// Too many elements.
    #[error("it takes at most {0} elements (maxItems)")]
    MaxItems(u64),
    /// Too short.
    #[error("the value needs at least {0} characters (minChars)")]
    MinChars(u64),
    /// Too long.
    #[error("the value takes at most {0} characters (maxChars)")]
    MaxChars(u64),
    /// A NUL byte cannot be in an environment variable.
    #[error("the value contains a NUL byte, which an environment variable cannot hold")]
    Nul,
    /// Too long for an environment variable.
    #[error("the value is too long for an environment variable (at most {MAX_VARIABLE_BYTES} bytes with its name)")]
    VariableTooLong,
}

/// The values of a run: one for each parameter of the document, given or default.
#[derive(Clone, Default, PartialEq)]
pub struct Parameters {
    bound: BTreeMap<String, Bound>,
}

#[derive(Clone, PartialEq)]
struct Bound {
    value: Value,
    kind: ParameterType,
    is_variable: bool,
}

impl Parameters {
    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.bound.get(name).map(|bound| &bound.value)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.bound.iter().map(|(name, bound)| (name.as_str(), &bound.value))
    }

    /// The environment variables of the `ENV_VAR` parameters.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let variables = self.bound.iter().filter(|(_, bound)| bound.is_variable);
        variables
            .map(|(name, bound)| (variable_name(name), interpolate::as_text(&bound.value)))
            .collect()
    }

    pub(crate) fn bound(&self, name: &str) -> Option<(&Value, &ParameterType)> {
        self.bound.get(name).map(|bound| (&bound.value, &bound.kind))
    }

    pub(crate) fn is_variable(&self, name: &str) -> bool {
        self.bound.get(name).is_some_and(|bound| bound.is_variable)
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.bound.keys()).finish()
    }
}

/// Checks the values given for a document's parameters and adds the defaults.
///
/// A value that refers to the parameter store (`{{ssm:…}}`) is accepted as it is: what it stands for is known on the node only.
/// An empty list for a type with one value means "not given".
///
/// # Errors
/// The first rule that a parameter breaks: unknown names first, then in the document's order.
pub fn check_parameters(
    document: &Document,
    given: &BTreeMap<String, Vec<String>>,
) -> Result<Parameters, ParameterError> {
    if let Some(name) = given.keys().find(|name| document.parameter(name).is_none()) {
        return Err(ParameterError {
            name: name.clone(),
            rule: ParameterRule::Undeclared,
        });
    }
    let mut bound = BTreeMap::new();
    for parameter in document.parameters() {
        let name = parameter.name().to_owned();
        let value = match bind(parameter, given.get(&name).map(Vec::as_slice)) {
            Ok(value) => value,
            Err(rule) => return Err(ParameterError { name, rule }),
        };
        bound.insert(
            name,
            Bound {
                value,
                kind: parameter.kind.clone(),
                is_variable: parameter.is_variable,
            },
        );
    }
    Ok(Parameters { bound })
}

fn bind(parameter: &Parameter, given: Option<&[String]>) -> Result<Value, ParameterRule> {
    let value = match (given, &parameter.kind) {
        (Some(values), ParameterType::StringList | ParameterType::AwsList(_)) => bind_list(parameter, values)?,
        (Some(values), ParameterType::MapList) if !values.is_empty() => bind_maps(parameter, values)?,
        (Some([one]), _) => bind_one(parameter, one)?,
        (None | Some([]), _) => parameter.default_value().cloned().ok_or(ParameterRule::Required)?,
        (Some(_), _) => return Err(ParameterRule::OneValue),
    };
    if parameter.is_variable {
        let text = interpolate::as_text(&value);
        if text.contains('\0') {
            return Err(ParameterRule::Nul);
        }
        // The system counts `name=value` and a final NUL byte.
        if parameter.variable_name().len() + text.len() + 2 > MAX_VARIABLE_BYTES {
            return Err(ParameterRule::VariableTooLong);
        }
    }
    Ok(value)
}

fn bind_list(parameter: &Parameter, values: &[String]) -> Result<Value, ParameterRule> {
    if !values.iter().any(|value| is_deferred(value)) {
        parameter
            .items
            .check(values.len(), ParameterRule::MinItems, ParameterRule::MaxItems)?;
    }
    // More than a whole document may have is refused for its size anyway; it is not searched element by element before.
    if parameter.allowed_pattern.is_some() && values.iter().map(String::len).sum::<usize>() > MAX_BYTES {
        return Err(ParameterRule::PatternTooCostly);
    }
    for value in values.iter().filter(|value| !is_deferred(value)) {
        check_text(parameter, value)?;
    }
    Ok(Value::from(values))
}

/// A list of maps: one JSON list, or one JSON map for each element.
fn bind_maps(parameter: &Parameter, values: &[String]) -> Result<Value, ParameterRule> {
    let wrong = || ParameterRule::Type(parameter.kind.clone());
    if let [one] = values {
        if is_deferred(one) {
            return Ok(Value::String(one.clone()));
        }
        if let Ok(list) = serde_json::from_str::<Vec<Map<String, Value>>>(one) {
            return check_maps(parameter, list);
        }
    }
    let maps = values
        .iter()
        .map(|value| serde_json::from_str::<Map<String, Value>>(value).map_err(|_| wrong()));
    check_maps(parameter, maps.collect::<Result<_, _>>()?)
}

fn check_maps(parameter: &Parameter, maps: Vec<Map<String, Value>>) -> Result<Value, ParameterRule> {
    parameter
        .items
        .check(maps.len(), ParameterRule::MinItems, ParameterRule::MaxItems)?;
    let maps: Vec<Value> = maps.into_iter().map(Value::Object).collect();
    maps.iter().try_for_each(|map| check_allowed(parameter, map))?;
    Ok(Value::Array(maps))
}

fn bind_one(parameter: &Parameter, text: &str) -> Result<Value, ParameterRule> {
    if is_deferred(text) {
        return Ok(Value::String(text.to_owned()));
    }
    let value = match &parameter.kind {
        ParameterType::Boolean => boolean(text).map(Value::Bool),
        ParameterType::Integer => integer(text).map(Value::from),
        ParameterType::StringMap => serde_json::from_str(text).ok().map(Value::Object),
        _ => {
            check_text(parameter, text)?;
            return Ok(Value::String(text.to_owned()));
        }
    };
    let value = value.ok_or_else(|| ParameterRule::Type(parameter.kind.clone()))?;
    check_allowed(parameter, &value)?;
    Ok(value)
}

fn check_text(parameter: &Parameter, text: &str) -> Result<(), ParameterRule> {
    if !light_format(&parameter.kind, text) {
        return Err(ParameterRule::Type(parameter.kind.clone()));
    }
    check_allowed(parameter, &Value::String(text.to_owned()))?;
    parameter
        .chars
        .check(text.chars().count(), ParameterRule::MinChars, ParameterRule::MaxChars)?;
    match parameter.allowed_pattern.as_ref().map(|pattern| pattern.find(text)) {
        Some(Ok(false)) => Err(ParameterRule::AllowedPattern),
        Some(Err(_)) => Err(ParameterRule::PatternTooCostly),
        Some(Ok(true)) | None => Ok(()),
    }
}

fn check_allowed(parameter: &Parameter, value: &Value) -> Result<(), ParameterRule> {
    match &parameter.allowed_values {
        Some(allowed) if !allowed.contains(value) => Err(ParameterRule::AllowedValues),
        _ => Ok(()),
    }
}

impl Bounds {
    pub(super) fn admits(&self, count: usize) -> bool {
        self.check(count, |_| (), |_| ()).is_ok()
    }

    fn check<E>(&self, count: usize, too_few: fn(u64) -> E, too_many: fn(u64) -> E) -> Result<(), E> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if let Some(min) = self.min.filter(|min| count < *min) {
            return Err(too_few(min));
        }
        if let Some(max) = self.max.filter(|max| count > *max) {
            return Err(too_many(max));
        }
        Ok(())
    }
}

/// Whether a value refers to the parameter store and so is not known before the run.
pub(super) fn is_deferred(text: &str) -> bool {
    interpolate::references_in(text).next().is_some()
}

/// `true` or `false` in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A decimal whole number: an optional sign and digits.
pub(super) fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Whether a text may stand for a thing of an `AWS::…` type, by its form only. Empty and tokens pass.
pub(super) fn light_format(kind: &ParameterType, text: &str) -> bool {
    let (ParameterType::Aws(word) | ParameterType::AwsList(word)) = kind else {
        return true;
    };
    if text.is_empty() || text.contains("{{") {
        return true;
    }
    let word = word
        .strip_prefix("List<")
        .and_then(|word| word.strip_suffix('>'))
        .unwrap_or(word);
    match word {
        "AWS::EC2::Instance::Id" => text
            .strip_prefix("i-")
            .or_else(|| text.strip_prefix("mi-"))
            .is_some_and(|rest| {
                matches!(rest.len(), 8 | 17) && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            }),
        "AWS::IAM::Role::Arn" => text.starts_with("arn:") && text.contains(":role/"),
        "AWS::S3::Bucket::Name" => {
            (3..=63).contains(&text.len())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
        }
        _ => true,
    }
}
