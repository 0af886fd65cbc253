//! Reading policies.

use crate::action::{Action, ActionPattern};
use crate::arn::ArnPattern;
use crate::condition::Condition;
use crate::json::Json;
use crate::refusal::{Path, PolicyError, Rule, shown};
use crate::statement::{Choice, Effect, Statement};

/// The longest policy, in bytes of its text.
pub const MAX_BYTES: usize = 65_536;
/// The only version of the language.
const VERSION: &str = "2012-10-17";

/// A policy that was read and found to be one.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) statements: Vec<Statement>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// If there is anything in it that this crate would not act upon exactly as it is written: nothing is ever ignored.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        Self::from_bytes(text.as_bytes())
    }

    /// Reads a policy as it came, whatever came.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PolicyError> {
        let root = Path::default();
        if bytes.len() > MAX_BYTES {
            let detail = format!("{} bytes, at most {MAX_BYTES}", bytes.len());
            return Err(PolicyError::new(&root, Rule::TooLarge, detail));
        }
        let json = Json::read(bytes).map_err(|error| PolicyError::new(&root, Rule::NotJson, error.to_string()))?;
        let object = Object::read(&json, &root, &["Version", "Statement"])?;
        version(&object)?;
        let at = root.key("Statement");
        let mut statements: Vec<Statement> = Vec::new();
        for (json, at) in one_or_many(object.needed("Statement")?, &at, "statement")? {
            let statement = statement(json, &at)?;
            let is_taken = |sid| statements.iter().any(|other| other.sid.as_ref() == Some(sid));
            if let Some(sid) = statement.sid.as_ref().filter(|sid| is_taken(sid)) {
                let detail = format!("another statement is {}, too", shown(sid));
                return Err(PolicyError::new(&at.key("Sid"), Rule::Sid, detail));
            }
            statements.push(statement);
        }
        Ok(Self { statements })
    }

    /// How many statements it has.
    #[must_use]
    pub fn statements(&self) -> usize {
        self.statements.len()
    }

    /// The actions that it names and that none of the known ones is: slips of the pen, or actions of another system.
    /// A policy with such actions is valid; whoever stores it may say so.
    pub fn unknown_actions<'a>(&'a self, known: &'a [Action]) -> impl Iterator<Item = &'a str> {
        let patterns = self.statements.iter().flat_map(|statement| statement.actions.named());
        patterns
            .filter(|pattern| !known.iter().any(|action| pattern.matches(action)))
            .map(ActionPattern::as_str)
    }
}

fn version(object: &Object<'_>) -> Result<(), PolicyError> {
    let at = object.at.key("Version");
    match object.needed("Version")? {
        Json::Text(version) if version == VERSION => Ok(()),
        Json::Text(other) => {
            let detail = format!("{} is not \"{VERSION}\"", shown(other));
            Err(PolicyError::new(&at, Rule::Version, detail))
        }
        other => Err(wrong_type(&at, "a text", other)),
    }
}

const ELEMENTS: [&str; 7] = [
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

fn statement(json: &Json, at: &Path) -> Result<Statement, PolicyError> {
    let object = Object::read(json, at, &ELEMENTS)?;
    Ok(Statement {
        sid: sid(&object)?,
        effect: effect(&object)?,
        actions: choice(&object, "Action", "NotAction", ActionPattern::parse)?,
        resources: choice(&object, "Resource", "NotResource", ArnPattern::parse)?,
        conditions: conditions(&object)?,
    })
}

fn sid(object: &Object<'_>) -> Result<Option<String>, PolicyError> {
    let at = object.at.key("Sid");
    match object.get("Sid") {
        None => Ok(None),
        Some(Json::Text(sid)) if !sid.is_empty() && sid.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Ok(Some(sid.clone()))
        }
        Some(Json::Text(sid)) => {
            let detail = format!("{} is not made of letters and digits", shown(sid));
            Err(PolicyError::new(&at, Rule::Sid, detail))
        }
        Some(other) => Err(wrong_type(&at, "a text", other)),
    }
}

fn effect(object: &Object<'_>) -> Result<Effect, PolicyError> {
    let at = object.at.key("Effect");
    match object.needed("Effect")? {
        Json::Text(text) if text == "Allow" => Ok(Effect::Allow),
        Json::Text(text) if text == "Deny" => Ok(Effect::Deny),
        Json::Text(text) => {
            let detail = format!("{} is neither \"Allow\" nor \"Deny\"", shown(text));
            Err(PolicyError::new(&at, Rule::Effect, detail))
        }
        other => Err(wrong_type(&at, "a text", other)),
    }
}

/// What stands under one of two names.
fn choice<T>(
    object: &Object<'_>,
    of: &str,
    all_but: &str,
    parse: impl Fn(&str) -> Result<T, (Rule, String)>,
) -> Result<Choice<T>, PolicyError> {
    let read = |name: &str, json| {
        let mut all = Vec::new();
        for (json, at) in one_or_many(json, &object.at.key(name), "text")? {
            let Json::Text(text) = json else {
                return Err(wrong_type(&at, "a text", json));
            };
            all.push(parse(text).map_err(|(rule, detail)| PolicyError::new(&at, rule, detail))?);
        }
        Ok(all)
    };
    match (object.get(of), object.get(all_but)) {
        (Some(json), None) => Ok(Choice::Of(read(of, json)?)),
        (None, Some(json)) => Ok(Choice::AllBut(read(all_but, json)?)),
        (Some(_), Some(_)) => {
            let detail = format!("{of} and {all_but} are both there; a statement has one of them");
            Err(PolicyError::new(object.at, Rule::Conflict, detail))
        }
        (None, None) => {
            let detail = format!("neither {of} nor {all_but} is there");
            Err(PolicyError::new(object.at, Rule::MissingElement, detail))
        }
    }
}

fn conditions(object: &Object<'_>) -> Result<Vec<Condition>, PolicyError> {
    let Some(json) = object.get("Condition") else {
        return Ok(Vec::new());
    };
    let at = object.at.key("Condition");
    let mut conditions = Vec::new();
    for (operator, under) in members(json, &at)? {
        let at = at.key(operator);
        for (key, values) in members(under, &at)? {
            conditions.push(Condition::parse(operator, key, values, &at.key(key))?);
        }
    }
    Ok(conditions)
}

/// An object whose members are known by name and stand there once.
struct Object<'a> {
    members: &'a [(String, Json)],
    at: &'a Path,
}

impl<'a> Object<'a> {
    fn read(json: &'a Json, at: &'a Path, known: &[&str]) -> Result<Self, PolicyError> {
        let members = members(json, at)?;
        for (name, _) in members {
            if !known.contains(&name.as_str()) {
                let detail = format!("{} is none of {}", shown(name), known.join(", "));
                return Err(PolicyError::new(&at.key(name), Rule::UnknownElement, detail));
            }
        }
        Ok(Self { members, at })
    }

    fn get(&self, name: &str) -> Option<&'a Json> {
        self.members.iter().find(|(each, _)| each == name).map(|(_, json)| json)
    }

    fn needed(&self, name: &str) -> Result<&'a Json, PolicyError> {
        let missing = || PolicyError::new(self.at, Rule::MissingElement, format!("{name} is not there"));
        self.get(name).ok_or_else(missing)
    }
}

/// The members of an object, of which there is one at least and none twice.
fn members<'a>(json: &'a Json, at: &Path) -> Result<&'a [(String, Json)], PolicyError> {
    let Json::Object(members) = json else {
        return Err(wrong_type(at, "an object", json));
    };
    if members.is_empty() {
        return Err(PolicyError::new(at, Rule::Empty, "an object without members"));
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let detail = format!("{} stands there twice", shown(pair[0]));
            Err(PolicyError::new(&at.key(pair[0]), Rule::DuplicateMember, detail))
        }
        None => Ok(members),
    }
}

/// Something, or a list of at least one of it, each with its place.
fn one_or_many<'a>(json: &'a Json, at: &Path, what: &str) -> Result<Vec<(&'a Json, Path)>, PolicyError> {
    match json {
        Json::List(all) if all.is_empty() => {
            let detail = format!("a list without a {what}");
            Err(PolicyError::new(at, Rule::Empty, detail))
        }
        Json::List(all) => {
            let with_place = |(position, one)| (one, at.index(position));
            Ok(all.iter().enumerate().map(with_place).collect())
        }
        one => Ok(vec![(one, at.clone())]),
    }
}

fn wrong_type(at: &Path, wanted: &str, found: &Json) -> PolicyError {
    let detail = format!("{wanted} belongs here, not {}", found.kind());
    PolicyError::new(at, Rule::WrongType, detail)
}
