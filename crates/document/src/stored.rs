//! What the parameter store holds, put into a run on its node (run-command 8.2, parameter-store 11).
//!
//! A run is planned twice: as it was given, to learn what it refers to, and with what was found there. So the parameters
//! of the document are held to their own rules with the values that they really have. What was found holds no references
//! itself: the store takes none.
//!
//! - `{{ssm:name}}` stands anywhere in the value of a parameter or in an input. A `StringList` stands only as a whole
//!   element of a list, where it becomes one element for each of its own.
//! - `{{ssm-secure:name}}` stands only where its value reaches no file and no argument: in parameters that travel as
//!   environment variables, and in the secrets of `aws:downloadContent`, where the action itself puts it in.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::interpolate::{self, Budget, TooLong};
use crate::parameter::ParameterType;
use crate::plan::{PlannedPart, PlannedStep};
use crate::{
    Document, Format, Parameter, ParameterError, Plan, PlanError, Platform, Verdict, check_parameters, parse, plan,
};

/// Members of `sourceInfo` that may be secrets.
pub const SECRET_MEMBERS: [&str; 4] = ["tokenInfo", "privateSSHKey", "username", "password"];

/// What begins a reference to a SecureString.
const SECURE: &str = "ssm-secure:";

/// The type of a parameter in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredType {
    /// Text.
    String,
    /// Texts with commas between them.
    StringList,
    /// A secret.
    SecureString,
}

/// A parameter as the store has it. `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its type.
    pub kind: StoredType,
    /// Its value, in clear.
    pub value: Zeroizing<String>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What was found, by reference: `ssm:name:3`, `ssm-secure:name`.
pub type StoredValues = BTreeMap<String, Stored>;

/// Why a run that refers to the parameter store does not begin; it is its trace. No value is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// Not there, or not in this version, or expired.
    #[error("Input contains invalid parameters [{}]: the parameter store has no such parameters", .0.join(", "))]
    Missing(Vec<String>),
    /// Secrets where text is expected.
    #[error(
        "Parameters [{}] of type SecureString are not supported: a secret is given as {{{{ssm-secure:name}}}} to a parameter \
         with interpolationType ENV_VAR", .0.join(", ")
    )]
    Secure(Vec<String>),
    /// Text where secrets are expected.
    #[error("[{}] refer to parameters of type SecureString, and these are of another type: say ssm: instead", .0.join(", "))]
    NotSecure(Vec<String>),
    /// A list within text.
    #[error("{0} is a StringList: it stands only as a whole element of a list")]
    ListInText(String),
    /// A secret where it would reach a file or an argument.
    #[error(
        "{0} stands where the secret would be written down: it may be the value of a parameter with interpolationType \
         ENV_VAR, or tokenInfo, privateSSHKey, username or password of aws:downloadContent"
    )]
    Place(String),
    /// What was found is not what the document's parameter takes.
    #[error("invalid parameters after the parameter store was asked: {0}")]
    Parameter(#[from] ParameterError),
    /// There is no plan with it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It is too much.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// Whether a reference is to a secret.
#[must_use]
pub fn is_secure(reference: &str) -> bool {
    reference.starts_with(SECURE)
}

/// The name with its selector that a reference asks for.
#[must_use]
pub fn name_of(reference: &str) -> &str {
    reference.split_once(':').map_or(reference, |(_, name)| name)
}

/// The reference that a text is, from brace to brace.
#[must_use]
pub fn whole(text: &str) -> Option<&str> {
    let mut spans = interpolate::reference_spans(text);
    let (span, reference) = spans.next()?;
    (span == (0..text.len())).then_some(reference)
}

/// Refuses secrets that stand where they would be written down. To be asked before anybody looks anything up.
///
/// # Errors
/// [`StoredError::Place`].
pub fn check_places(plan: &Plan) -> Result<(), StoredError> {
    for (step, part) in parts(plan) {
        for (input, value) in part.inputs() {
            let secrets = step.action().name() == "aws:downloadContent" && input == "sourceInfo";
            match secrets.then(|| members(value)).flatten() {
                None => no_secret_in(value)?,
                Some(members) => {
                    for (name, value) in &members {
                        match value {
                            Value::String(text) if SECRET_MEMBERS.contains(&name.as_str()) && whole(text).is_some() => {
                            }
                            other => no_secret_in(other)?,
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

/// The plan of a run with what its references stand for. References to secrets in inputs stay: their action puts them in.
///
/// # Errors
/// If something was not found, is of another type than the place takes, or breaks a rule of the document's parameters.
pub fn plan_with_stored(
    document: &Document,
    given: &BTreeMap<String, Vec<String>>,
    platform: Platform,
    stored: &StoredValues,
) -> Result<Plan, StoredError> {
    let unresolved = plan(document, &check_parameters(document, given)?, platform)?;
    check_places(&unresolved)?;
    check_found(&unresolved.references(), stored)?;
    let mut budget = Budget::default();
    let mut resolved = given.clone();
    for parameter in document.parameters() {
        let Some(values) = referring(parameter, given.get(parameter.name())) else {
            continue;
        };
        let mut putting = Putting {
            stored,
            with_secrets: parameter.is_variable(),
            budget: &mut budget,
        };
        resolved.insert(parameter.name().to_owned(), putting.given(parameter.kind(), &values)?);
    }
    let mut plan = plan(document, &check_parameters(document, &resolved)?, platform)?;
    let mut putting = Putting {
        stored,
        with_secrets: false,
        budget: &mut budget,
    };
    plan.map_inputs(|value| putting.value(value))?;
    Ok(plan)
}

fn parts(plan: &Plan) -> impl Iterator<Item = (&PlannedStep, &PlannedPart)> {
    plan.steps().iter().flat_map(|step| {
        let parts = match step.verdict() {
            Verdict::Run(parts) => parts.as_slice(),
            Verdict::Skip(_) | Verdict::Fail(_) => &[],
        };
        parts.iter().map(move |part| (step, part))
    })
}

/// The members of a map, or of the JSON text of one.
fn members(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map.clone()),
        Value::String(text) => match parse(text, Format::Json) {
            Ok(Value::Object(map)) => Some(map),
            _ => None,
        },
        _ => None,
    }
}

fn no_secret_in(value: &Value) -> Result<(), StoredError> {
    let found = interpolate::references(value)
        .into_iter()
        .find(|found| is_secure(found));
    match found {
        Some(reference) => Err(StoredError::Place(format!("{{{{{reference}}}}}"))),
        None => Ok(()),
    }
}

fn check_found(references: &[String], stored: &StoredValues) -> Result<(), StoredError> {
    let names = |is_wrong: &dyn Fn(&str, Option<&Stored>) -> bool| -> Option<Vec<String>> {
        let wrong = references.iter().filter(|found| is_wrong(found, stored.get(*found)));
        let names: Vec<String> = wrong.map(|reference| name_of(reference).to_owned()).collect();
        (!names.is_empty()).then_some(names)
    };
    let is_secret = |found: Option<&Stored>| found.is_some_and(|found| found.kind == StoredType::SecureString);
    if let Some(names) = names(&|_, found| found.is_none()) {
        return Err(StoredError::Missing(names));
    }
    if let Some(names) = names(&|reference, found| !is_secure(reference) && is_secret(found)) {
        return Err(StoredError::Secure(names));
    }
    match names(&|reference, found| is_secure(reference) && !is_secret(found)) {
        Some(names) => Err(StoredError::NotSecure(names)),
        None => Ok(()),
    }
}

/// The values of a parameter as a caller would give them, if they refer to something.
fn referring(parameter: &Parameter, given: Option<&Vec<String>>) -> Option<Vec<String>> {
    let is_list = matches!(parameter.kind(), ParameterType::StringList | ParameterType::AwsList(_));
    let values = match given.filter(|given| is_list || !given.is_empty()) {
        Some(given) => given.clone(),
        None => match parameter.default_value()? {
            Value::Array(list) if is_list => list.iter().map(interpolate::as_text).collect(),
            value => vec![interpolate::as_text(value)],
        },
    };
    let refers = |value: &String| interpolate::references_in(value).next().is_some();
    values.iter().any(refers).then_some(values)
}

/// Puts what was found where it is referred to. What was not looked up stays as it is.
struct Putting<'a> {
    stored: &'a StoredValues,
    with_secrets: bool,
    budget: &'a mut Budget,
}

impl Putting<'_> {
    fn find(&self, reference: &str) -> Option<&Stored> {
        self.stored
            .get(reference)
            .filter(|_| self.with_secrets || !is_secure(reference))
    }

    /// The values given for a parameter of this type.
    fn given(&mut self, kind: &ParameterType, values: &[String]) -> Result<Vec<String>, StoredError> {
        match kind {
            ParameterType::StringList | ParameterType::AwsList(_) => self.elements(values),
            ParameterType::StringMap | ParameterType::MapList => values
                .iter()
                .map(|text| match serde_json::from_str::<Value>(text) {
                    // Within its texts: a value may have quotes.
                    Ok(value) => self.value(&value).map(|value| value.to_string()),
                    Err(_) => self.text(text),
                })
                .collect(),
            _ => values.iter().map(|text| self.text(text)).collect(),
        }
    }

    fn value(&mut self, value: &Value) -> Result<Value, StoredError> {
        Ok(match value {
            Value::String(text) => Value::String(self.text(text)?),
            Value::Array(list) => {
                let mut out = Vec::with_capacity(list.len());
                for element in list {
                    match element {
                        Value::String(text) => {
                            out.extend(
                                self.elements(std::slice::from_ref(text))?
                                    .into_iter()
                                    .map(Value::String),
                            );
                        }
                        other => out.push(self.value(other)?),
                    }
                }
                Value::Array(out)
            }
            Value::Object(map) => {
                let members = map.iter().map(|(key, inner)| Ok((key.clone(), self.value(inner)?)));
                Value::Object(members.collect::<Result<_, StoredError>>()?)
            }
            other => other.clone(),
        })
    }

    fn elements(&mut self, list: &[String]) -> Result<Vec<String>, StoredError> {
        let mut out = Vec::with_capacity(list.len());
        for element in list {
            let found = whole(element).and_then(|reference| self.find(reference));
            match found.filter(|found| found.kind == StoredType::StringList) {
                Some(found) => {
                    let elements: Vec<String> = found.value.split(',').map(str::to_owned).collect();
                    self.budget.spend(found.value.len())?;
                    out.extend(elements);
                }
                None => out.push(self.text(element)?),
            }
        }
        Ok(out)
    }

    fn text(&mut self, text: &str) -> Result<String, StoredError> {
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for (span, reference) in interpolate::reference_spans(text) {
            let Some(found) = self.find(reference) else { continue };
            if found.kind == StoredType::StringList {
                return Err(StoredError::ListInText(name_of(reference).to_owned()));
            }
            let value = found.value.as_str();
            out.push_str(&text[end..span.start]);
            out.push_str(value);
            end = span.end;
            let length = value.len();
            self.budget.spend(length)?;
        }
        out.push_str(&text[end..]);
        Ok(out)
    }
}
