//! Conditions: an operator, a key, and the values that it is held against.

use jiff::Timestamp;

use crate::arn::ArnPattern;
use crate::context::Context;
use crate::json::Json;
use crate::key::{KNOWN, Key, Value};
use crate::moment;
use crate::net::Net;
use crate::operator::{Comparison, Operator, Order, Quantifier};
use crate::pattern::{Match, Pattern, Wild};
use crate::principal::Principal;
use crate::refusal::{Path, PolicyError, Rule, shown};
use crate::statement::Effect;

/// One condition; those of a statement must all hold.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    key: Key,
    operator: Operator,
    values: Values,
}

/// What the key's value is held against; one that fits is enough.
#[derive(Debug, Clone)]
enum Values {
    Equal(Vec<Pattern>),
    EqualIgnoringCase(Vec<Pattern>),
    Like(Vec<Pattern>),
    Arn(Vec<ArnPattern>),
    Number(Order, Vec<f64>),
    Time(Order, Vec<Timestamp>),
    Flag(Vec<bool>),
    Net(Vec<Net>),
    /// Whether the key must be away.
    Away(bool),
}

impl Condition {
    /// Reads what stands under an operator and a key.
    pub(crate) fn parse(operator: &str, key: &str, json: &Json, at: &Path) -> Result<Self, PolicyError> {
        let refuse = |rule, detail: String| Err(PolicyError::new(at, rule, detail));
        let Some(parsed) = Operator::parse(operator) else {
            return refuse(Rule::UnknownOperator, format!("{} is no operator", shown(operator)));
        };
        let Some(key_) = Key::parse(key) else {
            return refuse(Rule::UnknownKey, format!("{} is none of {KNOWN}", shown(key)));
        };
        if let Err(why) = parsed.fits(key_.kind()) {
            return refuse(Rule::Unfit, format!("{key} {why}"));
        }
        Ok(Self {
            key: key_,
            operator: parsed,
            values: Values::parse(parsed.comparison, json, at)?,
        })
    }

    /// Whether it is about a tag of the resource.
    pub(crate) fn asks_for_tags(&self) -> bool {
        matches!(self.key, Key::ResourceTag(_))
    }

    /// Whether it holds, in a statement with that effect.
    pub(crate) fn holds(&self, who: &Principal, context: &Context, effect: Effect) -> bool {
        if context.resource_tags_unknown && self.asks_for_tags() {
            return effect == Effect::Deny;
        }
        if let Values::Away(away) = self.values {
            return self.is_away(who, context) == away;
        }
        let fits = |value: Value<'_>| self.judge(self.values.take(value, who), effect);
        match self.operator.quantifier {
            None => match self.key.value(who, context) {
                Some(value) => fits(value),
                None => self.operator.negated || self.operator.if_exists,
            },
            Some(_) if self.is_away(who, context) => {
                self.operator.if_exists || self.operator.quantifier == Some(Quantifier::All)
            }
            Some(Quantifier::Any) => context.all_tag_keys().any(|key| fits(Value::Text(key))),
            Some(Quantifier::All) => context.all_tag_keys().all(|key| fits(Value::Text(key))),
        }
    }

    fn is_away(&self, who: &Principal, context: &Context) -> bool {
        match self.key {
            Key::TagKeys => context.all_tag_keys().next().is_none(),
            _ => self.key.value(who, context).is_none(),
        }
    }

    /// What cannot be said never allows: a negation of it holds only where it denies.
    fn judge(&self, found: Match, effect: Effect) -> bool {
        match (found, self.operator.negated) {
            (Match::Yes, negated) => !negated,
            (Match::No, negated) => negated,
            (Match::Unknown, negated) => negated && effect == Effect::Deny,
        }
    }
}

impl Values {
    fn parse(comparison: Comparison, json: &Json, at: &Path) -> Result<Self, PolicyError> {
        Ok(match comparison {
            Comparison::StringEquals => Self::Equal(patterns(json, Wild::Text, at)?),
            Comparison::StringEqualsIgnoreCase => Self::EqualIgnoringCase(patterns(json, Wild::Text, at)?),
            Comparison::StringLike => Self::Like(patterns(json, Wild::Cards, at)?),
            Comparison::Arn => Self::Arn(list(json, at, |json, at| {
                let text = text(json, at)?;
                ArnPattern::parse(text).map_err(|(rule, detail)| PolicyError::new(at, rule, detail))
            })?),
            Comparison::Numeric(order) => Self::Number(order, list(json, at, number)?),
            Comparison::Date(order) => Self::Time(order, list(json, at, time)?),
            Comparison::Bool => Self::Flag(list(json, at, flag)?),
            Comparison::IpAddress => Self::Net(list(json, at, |json, at| {
                let text = text(json, at)?;
                let why = "is neither an IP address nor a range such as 10.0.0.0/8";
                Net::parse(text).ok_or_else(|| bad(at, text, why))
            })?),
            Comparison::Null => match list(json, at, flag)?.as_slice() {
                [away] => Self::Away(*away),
                _ => return Err(PolicyError::new(at, Rule::Value, "Null takes one value, true or false")),
            },
        })
    }

    /// Whether one of them takes the value.
    fn take(&self, value: Value<'_>, who: &Principal) -> Match {
        match self {
            Self::Equal(patterns) | Self::Like(patterns) => {
                let Some(text) = as_text(value) else {
                    return Match::Unknown;
                };
                Match::any(patterns.iter().map(|pattern| pattern.matches(text, who)))
            }
            Self::EqualIgnoringCase(patterns) => {
                let Some(text) = as_text(value) else {
                    return Match::Unknown;
                };
                Match::any(patterns.iter().map(|pattern| match pattern.text(who) {
                    Some(pattern) => same_but_case(&pattern, text).into(),
                    None => Match::Unknown,
                }))
            }
            // The only key whose value is an ARN.
            Self::Arn(patterns) => Match::any(patterns.iter().map(|pattern| pattern.matches(who.policy_arn(), who))),
            Self::Number(order, numbers) => match as_text(value).and_then(parse_number) {
                Some(value) => numbers.iter().any(|number| order.holds(&value, number)).into(),
                None => Match::Unknown,
            },
            Self::Time(order, times) => {
                let value = match value {
                    Value::Time(time) => Some(time),
                    other => as_text(other).and_then(moment::parse),
                };
                match value {
                    Some(value) => times.iter().any(|time| order.holds(&value, time)).into(),
                    None => Match::Unknown,
                }
            }
            Self::Flag(flags) => match as_text(value).and_then(|text| text.parse::<bool>().ok()) {
                Some(value) => flags.contains(&value).into(),
                None => Match::Unknown,
            },
            Self::Net(nets) => match value {
                Value::Ip(address) => nets.iter().any(|net| net.contains(address)).into(),
                _ => Match::Unknown,
            },
            Self::Away(_) => Match::Unknown,
        }
    }
}

fn as_text(value: Value<'_>) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Flag(true) => Some("true"),
        Value::Flag(false) => Some("false"),
        Value::Ip(_) | Value::Time(_) => None,
    }
}

fn same_but_case(one: &str, other: &str) -> bool {
    let folded = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
    one.eq_ignore_ascii_case(other) || folded(one) == folded(other)
}

fn parse_number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(number)
}

/// One value, or a list of at least one.
fn list<T>(
    json: &Json,
    at: &Path,
    read: impl Fn(&Json, &Path) -> Result<T, PolicyError>,
) -> Result<Vec<T>, PolicyError> {
    match json {
        Json::List(all) if all.is_empty() => Err(PolicyError::new(at, Rule::Empty, "a condition without a value")),
        Json::List(all) => {
            let read = |(position, one)| read(one, &at.index(position));
            all.iter().enumerate().map(read).collect()
        }
        one => Ok(vec![read(one, at)?]),
    }
}

fn patterns(json: &Json, wild: Wild, at: &Path) -> Result<Vec<Pattern>, PolicyError> {
    list(json, at, |json, at| {
        let text = text(json, at)?;
        Pattern::parse(text, wild).map_err(|(rule, detail)| PolicyError::new(at, rule, detail))
    })
}

fn text<'a>(json: &'a Json, at: &Path) -> Result<&'a str, PolicyError> {
    match json {
        Json::Text(text) => Ok(text),
        other => Err(wrong_type(at, "a text", other)),
    }
}

fn number(json: &Json, at: &Path) -> Result<f64, PolicyError> {
    match json {
        Json::Number(text) | Json::Text(text) => parse_number(text).ok_or_else(|| bad(at, text, "is not a number")),
        other => Err(wrong_type(at, "a number", other)),
    }
}

fn time(json: &Json, at: &Path) -> Result<Timestamp, PolicyError> {
    match json {
        Json::Number(text) | Json::Text(text) => {
            let why = "is not a time such as 2026-01-31T12:00:00Z";
            moment::parse(text).ok_or_else(|| bad(at, text, why))
        }
        other => Err(wrong_type(at, "a time", other)),
    }
}

fn flag(json: &Json, at: &Path) -> Result<bool, PolicyError> {
    match json {
        Json::Bool(flag) => Ok(*flag),
        Json::Text(text) => text.parse().map_err(|_| bad(at, text, "is neither true nor false")),
        other => Err(wrong_type(at, "true or false", other)),
    }
}

fn bad(at: &Path, value: &str, why: &str) -> PolicyError {
    PolicyError::new(at, Rule::Value, format!("{} {why}", shown(value)))
}

fn wrong_type(at: &Path, wanted: &str, found: &Json) -> PolicyError {
    PolicyError::new(
        at,
        Rule::WrongType,
        format!("{wanted} belongs here, not {}", found.kind()),
    )
}
