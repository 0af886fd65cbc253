//! Policies of parameters: when one expires, and when somebody is told (parameter-store 5).

use muster_model::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::error::ParameterError;

/// Most policies of a parameter.
const MAX_POLICIES: usize = 10;
/// Longest period: no clock gets there.
const MAX_DAYS: u32 = 100_000;

/// What a policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The parameter is deleted at this time.
    Expiration(Timestamp),
    /// Somebody is told this long before.
    ExpirationNotification(SignedDuration),
    /// Somebody is told when the parameter was not changed for this long.
    NoChangeNotification(SignedDuration),
}

impl Rule {
    /// The word of its type.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Expiration(_) => "Expiration",
            Self::ExpirationNotification(_) => "ExpirationNotification",
            Self::NoChangeNotification(_) => "NoChangeNotification",
        }
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Its JSON.
    pub(crate) text: String,
    pub(crate) rule: Rule,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Written {
    r#type: String,
    version: String,
    attributes: serde_json::Map<String, Value>,
}

/// Reads the policies of a request, or of a stored version. An empty list, or one of an empty object, means none.
pub(crate) fn parse(text: &str) -> Result<Vec<Policy>, ParameterError> {
    let values: Vec<Value> = serde_json::from_str(text)
        .map_err(|_| ParameterError::PolicyAttribute("Policies is no JSON array of policies".to_owned()))?;
    let is_empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
    if let [one] = values.as_slice()
        && is_empty(one)
    {
        return Ok(Vec::new());
    }
    if values.len() > MAX_POLICIES {
        return Err(ParameterError::TooManyPolicies { limit: MAX_POLICIES });
    }
    let policies: Vec<Policy> = values.into_iter().map(one).collect::<Result<_, _>>()?;
    let count = |matches: fn(&Rule) -> bool| policies.iter().filter(|policy| matches(&policy.rule)).count();
    let expirations = count(|rule| matches!(rule, Rule::Expiration(_)));
    if expirations > 1 {
        return Err(ParameterError::IncompatiblePolicies(
            "a parameter has one Expiration policy at most",
        ));
    }
    if expirations == 0 && count(|rule| matches!(rule, Rule::ExpirationNotification(_))) > 0 {
        return Err(ParameterError::IncompatiblePolicies(
            "an ExpirationNotification policy needs an Expiration policy beside it",
        ));
    }
    Ok(policies)
}

fn one(value: Value) -> Result<Policy, ParameterError> {
    let bad = |why: String| ParameterError::PolicyAttribute(why);
    let text = value.to_string();
    let written: Written = serde_json::from_value(value)
        .map_err(|_| bad("a policy is an object with Type, Version and Attributes, and no more".to_owned()))?;
    let of_type = |why: &str| bad(format!("the policy {}: {why}", written.r#type));
    let rule = match written.r#type.as_str() {
        "Expiration" => {
            let [time] = attributes(&written, ["Timestamp"])?;
            let time = time
                .parse()
                .map_err(|_| of_type("Timestamp is no time such as 2018-12-02T21:34:33.000Z"))?;
            Rule::Expiration(time)
        }
        "ExpirationNotification" => Rule::ExpirationNotification(period(&written, "Before")?),
        "NoChangeNotification" => Rule::NoChangeNotification(period(&written, "After")?),
        other => {
            return Err(ParameterError::PolicyType {
                given: other.to_owned(),
            });
        }
    };
    if written.version != "1.0" {
        return Err(of_type("Version must be 1.0"));
    }
    Ok(Policy { text, rule })
}

/// The attributes of these names, which must be all there are.
fn attributes<const N: usize>(written: &Written, names: [&str; N]) -> Result<[String; N], ParameterError> {
    let bad = || {
        let kind = &written.r#type;
        ParameterError::PolicyAttribute(format!(
            "the policy {kind}: its attributes are {}, as texts",
            names.join(" and ")
        ))
    };
    if written.attributes.len() != N {
        return Err(bad());
    }
    let mut found = Vec::with_capacity(N);
    for name in names {
        let value = written.attributes.get(name).and_then(Value::as_str).ok_or_else(bad)?;
        found.push(value.to_owned());
    }
    found.try_into().map_err(|_| bad())
}

fn period(written: &Written, name: &str) -> Result<SignedDuration, ParameterError> {
    let [amount, unit] = attributes(written, [name, "Unit"])?;
    let bad = |why: String| ParameterError::PolicyAttribute(format!("the policy {}: {why}", written.r#type));
    let hours = match unit.as_str() {
        "Days" => 24,
        "Hours" => 1,
        _ => return Err(bad("Unit is Days or Hours".to_owned())),
    };
    let is_digits = !amount.is_empty() && amount.bytes().all(|byte| byte.is_ascii_digit());
    match amount.parse::<u32>() {
        Ok(amount) if is_digits && (1..=MAX_DAYS).contains(&amount) => {
            Ok(SignedDuration::from_hours(i64::from(amount) * hours))
        }
        _ => Err(bad(format!("{name} is a number from 1 to {MAX_DAYS}, as a text"))),
    }
}

/// How policies are stored: the array that was given.
pub(crate) fn written(policies: &[Policy]) -> String {
    let texts: Vec<&str> = policies.iter().map(|policy| policy.text.as_str()).collect();
    format!("[{}]", texts.join(","))
}

/// When a parameter with these policies expires.
pub(crate) fn expires_at(policies: &[Policy]) -> Option<Timestamp> {
    policies.iter().find_map(|policy| match policy.rule {
        Rule::Expiration(time) => Some(time),
        _ => None,
    })
}

/// When each policy of a version that was made at this time has its say.
pub(crate) fn due(policies: &[Policy], modified_at: Timestamp) -> Vec<Timestamp> {
    let end = expires_at(policies);
    policies
        .iter()
        .map(|policy| match policy.rule {
            Rule::Expiration(time) => time,
            Rule::ExpirationNotification(before) => end
                .unwrap_or(Timestamp::MAX)
                .checked_sub(before)
                .unwrap_or(Timestamp::MIN),
            Rule::NoChangeNotification(after) => modified_at.checked_add(after).unwrap_or(Timestamp::MAX),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::Reason;
    use proptest::prelude::*;

    use super::*;

    const EXPIRATION: &str =
        r#"{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2018-12-02T21:34:33.000Z"}}"#;
    const WARNING: &str =
        r#"{"Type":"ExpirationNotification","Version":"1.0","Attributes":{"Before":"30","Unit":"Days"}}"#;
    const NO_CHANGE: &str =
        r#"{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"20","Unit":"Hours"}}"#;

    fn reason(text: &str) -> Option<Reason> {
        parse(text).err().map(|error| error.reason())
    }

    #[test]
    fn the_three_policies_are_read_and_written() {
        let text = format!("[{EXPIRATION}, {WARNING}, {NO_CHANGE}]");
        let policies = parse(&text).unwrap();
        let end: Timestamp = "2018-12-02T21:34:33Z".parse().unwrap();
        let rules: Vec<Rule> = policies.iter().map(|policy| policy.rule).collect();
        assert_eq!(
            rules,
            [
                Rule::Expiration(end),
                Rule::ExpirationNotification(SignedDuration::from_hours(720)),
                Rule::NoChangeNotification(SignedDuration::from_hours(20)),
            ]
        );
        assert_eq!(policies[0].text, EXPIRATION);
        assert_eq!(parse(&written(&policies)).unwrap(), policies);
        assert_eq!(expires_at(&policies), Some(end));
        let made: Timestamp = "2018-01-01T00:00:00Z".parse().unwrap();
        let times: Vec<String> = due(&policies, made).iter().map(ToString::to_string).collect();
        assert_eq!(
            times,
            ["2018-12-02T21:34:33Z", "2018-11-02T21:34:33Z", "2018-01-01T20:00:00Z"]
        );
    }

    #[test]
    fn times_may_have_offsets_and_their_seconds() {
        for time in [
            "2018-12-02T21:34:33+10:30",
            "2018-12-02T21:34:33.000+10:30:00",
            "2018-12-02T21:34:33Z",
        ] {
            assert_eq!(
                reason(&format!("[{}]", EXPIRATION.replace("2018-12-02T21:34:33.000Z", time))),
                None,
                "{time}"
            );
        }
    }

    #[test]
    fn none_are_written_in_two_ways() {
        assert_eq!(parse("[]"), Ok(Vec::new()));
        assert_eq!(parse("[{}]"), Ok(Vec::new()));
    }

    #[test]
    fn bad_policies_are_refused_with_their_word() {
        let attribute = Some(Reason::InvalidPolicyAttributeException);
        for text in [
            "",
            "x",
            "{}",
            "[1]",
            "[{},{}]",
            &format!("[{}]", EXPIRATION.replace("1.0", "2.0")),
            &format!("[{}]", EXPIRATION.replace("Timestamp", "Time")),
            &format!("[{}]", EXPIRATION.replace("2018-12-02T21:34:33.000Z", "soon")),
            &format!("[{}]", NO_CHANGE.replace("\"20\"", "20")),
            &format!("[{}]", NO_CHANGE.replace("20", "-1")),
            &format!("[{}]", NO_CHANGE.replace("20", "0")),
            &format!("[{}]", NO_CHANGE.replace("Hours", "Weeks")),
            &format!("[{}]", NO_CHANGE.replace("\"After\"", "\"X\":\"1\",\"After\"")),
        ] {
            assert_eq!(reason(text), attribute, "{text}");
        }
        let unknown = format!("[{}]", EXPIRATION.replace("Expiration", "Explosion"));
        assert_eq!(reason(&unknown), Some(Reason::InvalidPolicyTypeException));
        let incompatible = Some(Reason::IncompatiblePolicyException);
        assert_eq!(reason(&format!("[{EXPIRATION},{EXPIRATION}]")), incompatible);
        assert_eq!(reason(&format!("[{WARNING}]")), incompatible);
        let eleven = [NO_CHANGE; 11].join(",");
        assert_eq!(
            reason(&format!("[{eleven}]")),
            Some(Reason::PoliciesLimitExceededException)
        );
        assert_eq!(reason(&format!("[{}]", [NO_CHANGE; 10].join(","))), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*", time in ".{0,30}") {
            let _ = parse(&text);
            let time = serde_json::to_string(&time).unwrap();
            let _ = parse(&format!("[{}]", EXPIRATION.replace("\"2018-12-02T21:34:33.000Z\"", &time)));
        }
    }
}
