//! What callers write as `key=value`: tags, targets, parameters, filters.

use std::collections::BTreeMap;

/// A key and one value: `Role=web`. The value may be empty and may hold more `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Reads `key=value`.
pub(crate) fn pair(text: &str) -> Result<Pair, &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok(Pair {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
        _ => Err("expected key=value"),
    }
}

/// A key and the values, any of which is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) key: String,
    pub(crate) values: Vec<String>,
}

/// Reads `key=value,value`, and the AWS command line's `Key=key,Values=value,value`.
pub(crate) fn choice(text: &str) -> Result<Choice, &'static str> {
    let aws = text.strip_prefix("Key=").and_then(|rest| rest.split_once(",Values="));
    let (key, values) = match aws {
        Some(parts) => parts,
        None => text.split_once('=').ok_or("expected key=value or key=value,value")?,
    };
    if key.is_empty() {
        return Err("expected key=value or key=value,value");
    }
    Ok(Choice {
        key: key.to_owned(),
        values: values.split(',').map(str::to_owned).collect(),
    })
}

/// Reads a target: a choice, or `*` for every managed node.
pub(crate) fn target(text: &str) -> Result<Choice, String> {
    if text == "*" {
        return Ok(Choice {
            key: "InstanceIds".to_owned(),
            values: vec!["*".to_owned()],
        });
    }
    let choice = choice(text).map_err(|error| format!("{error}, for example tag:Role=web; or '*' for every node"))?;
    choice
        .key
        .parse::<muster_model::TargetKey>()
        .map_err(|error| error.to_string())?;
    Ok(choice)
}

/// A document parameter with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    name: String,
    values: Vec<String>,
}

/// Reads `name=value`, or `name=["first","second"]`.
pub(crate) fn parameter(text: &str) -> Result<Parameter, &'static str> {
    let Pair { key, value } = pair(text)?;
    // Only a list of texts is a list; anything else that begins like one is a value of its own.
    let values = match value.starts_with('[') {
        true => serde_json::from_str(&value).unwrap_or_else(|_| vec![value]),
        false => vec![value],
    };
    Ok(Parameter { name: key, values })
}

/// All values by name; a name that was given several times has all of them, in order.
pub(crate) fn by_name(parameters: &[Parameter]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for parameter in parameters {
        all.entry(parameter.name.clone())
            .or_default()
            .extend(parameter.values.iter().cloned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_equals_sign_ends_the_key() {
        let check = |text: &str, key: &str, value: &str| {
            let read = pair(text).unwrap();
            assert_eq!((read.key.as_str(), read.value.as_str()), (key, value));
        };
        check("Role=web", "Role", "web");
        check("Owner=a=b", "Owner", "a=b");
        check("Empty=", "Empty", "");
        assert!(pair("=x").is_err());
        assert!(pair("x").is_err());
    }

    #[test]
    fn targets_are_written_in_our_way_or_in_the_aws_command_line_s() {
        let check = |text: &str, key: &str, values: &[&str]| {
            let read = target(text).unwrap();
            assert_eq!(read.key, key);
            assert_eq!(read.values, values);
        };
        check("tag:Role=web", "tag:Role", &["web"]);
        check("tag:Role=web,db", "tag:Role", &["web", "db"]);
        check("Key=tag:Role,Values=web,db", "tag:Role", &["web", "db"]);
        check("tag-key=Role", "tag-key", &["Role"]);
        check("tag:Empty=", "tag:Empty", &[""]);
        check("*", "InstanceIds", &["*"]);
        for bad in ["web", "Role=web", "tag:=web", "", "=web"] {
            assert!(target(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn parameters_gather_their_values() {
        let given = ["commands=a", "x=1", "commands=[\"b\",\"c\"]", "map=[1]"].map(|text| parameter(text).unwrap());
        let all = by_name(&given);
        assert_eq!(all["commands"], ["a", "b", "c"]);
        assert_eq!(all["x"], ["1"]);
        assert_eq!(all["map"], ["[1]"]);
    }
}
