//! Which nodes a caller means: ids, or expressions of which all must hold (run-command 3).

use std::collections::BTreeSet;

use muster_model::{NodeId, Target, TargetKey};
use muster_proto::fleet::v1::{ResolveTargetsRequest, TargetExpression};
use muster_wire::Refusal;

/// Most expressions in one question.
const MOST_EXPRESSIONS: usize = 5;
/// Most values of one expression.
const MOST_VALUES: usize = 50;

/// Which nodes a caller means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// These, in this order. Who is asked for by name and is not there is told as such.
    Named(Vec<String>),
    /// Every managed node.
    Everything,
    /// The managed nodes for which all of these hold.
    Matching(Vec<Criterion>),
}

/// What must hold for a node; any of the values is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Criterion {
    /// It has one of these ids.
    NodeId(BTreeSet<String>),
    /// Its tag with the key has one of the values. No value at all fits no node.
    Tag { key: String, values: BTreeSet<String> },
    /// It has a tag with one of these keys.
    TagKey(BTreeSet<String>),
}

impl Selection {
    /// Reads a question.
    ///
    /// # Errors
    /// `ValidationException`, if it names nothing, mixes ids and expressions, or an expression breaks a rule.
    pub(crate) fn parse(request: ResolveTargetsRequest) -> Result<Self, Refusal> {
        let ResolveTargetsRequest {
            instance_ids, targets, ..
        } = request;
        match (instance_ids.is_empty(), targets.is_empty()) {
            (false, true) => {
                let mut seen = BTreeSet::new();
                let first = |id: &String| seen.insert(id.clone());
                Ok(Self::Named(instance_ids.into_iter().filter(first).collect()))
            }
            (true, false) => Self::of_expressions(targets),
            (true, true) => Err(Refusal::validation("InstanceIds or Targets must be given")),
            (false, false) => Err(Refusal::validation("InstanceIds and Targets exclude each other")),
        }
    }

    fn of_expressions(expressions: Vec<TargetExpression>) -> Result<Self, Refusal> {
        if expressions.len() > MOST_EXPRESSIONS {
            let message = format!("there can be {MOST_EXPRESSIONS} targets, not {}", expressions.len());
            return Err(Refusal::validation(message));
        }
        let mut criteria = Vec::with_capacity(expressions.len());
        for expression in expressions {
            // What holds for every node narrows nothing.
            criteria.extend(criterion(expression)?);
        }
        if criteria.is_empty() {
            return Ok(Self::Everything);
        }
        let lists: Option<Vec<_>> = criteria.iter().map(Criterion::ids).collect();
        Ok(match lists {
            Some(lists) => Self::Named(in_all(lists)),
            None => Self::Matching(criteria),
        })
    }
}

impl Criterion {
    fn ids(&self) -> Option<&BTreeSet<String>> {
        match self {
            Self::NodeId(ids) => Some(ids),
            _ => None,
        }
    }
}

fn in_all(lists: Vec<&BTreeSet<String>>) -> Vec<String> {
    let (first, others) = match lists.split_first() {
        Some(split) => split,
        None => return Vec::new(),
    };
    let everywhere = |id: &&String| others.iter().all(|list| list.contains(*id));
    first.iter().filter(everywhere).cloned().collect()
}

/// What an expression asks of a node; nothing for `InstanceIds=*`.
fn criterion(expression: TargetExpression) -> Result<Option<Criterion>, Refusal> {
    let TargetExpression { key, values } = expression;
    let key: TargetKey = key
        .parse()
        .map_err(|error: muster_model::TargetError| Refusal::validation(error.to_string()))?;
    let target = Target { key, values };
    check_values(&target)?;
    let is_everything = target.is_everything();
    let values: BTreeSet<String> = target.values.into_iter().collect();
    Ok(match target.key {
        TargetKey::InstanceIds if is_everything => None,
        TargetKey::InstanceIds => {
            if let Some(bad) = values.iter().find(|value| value.parse::<NodeId>().is_err()) {
                let bad = bad.escape_debug();
                let message = format!("InstanceIds: {bad} is no id of a managed node; * alone means every node");
                return Err(Refusal::validation(message));
            }
            Some(Criterion::NodeId(values))
        }
        TargetKey::Tag(key) => Some(Criterion::Tag { key, values }),
        TargetKey::TagKey => Some(Criterion::TagKey(values)),
        TargetKey::ResourceGroup | TargetKey::ResourceGroupTypes => {
            return Err(Refusal::validation(format!(
                "{}: resource groups are not supported yet; use tag:<key>, tag-key or InstanceIds",
                target.key
            )));
        }
    })
}

fn check_values(target: &Target) -> Result<(), Refusal> {
    let count = target.values.len();
    let least = match target.key {
        TargetKey::Tag(_) | TargetKey::ResourceGroup | TargetKey::ResourceGroupTypes => 0,
        TargetKey::InstanceIds | TargetKey::TagKey => 1,
    };
    if !(least..=MOST_VALUES).contains(&count) {
        let message = format!(
            "target {}: there can be {least} to {MOST_VALUES} values, not {count}",
            target.key
        );
        return Err(Refusal::validation(message));
    }
    // Nowhere stored, and a database may refuse even the question.
    let in_key = matches!(&target.key, TargetKey::Tag(key) if key.contains('\0'));
    if in_key || target.values.iter().any(|value| value.contains('\0')) {
        return Err(Refusal::validation("a target holds a NUL character"));
    }
    Ok(())
}

#[cfg(test)]
impl Selection {
    /// Whether a managed node is meant: what the SQL must agree with.
    pub(crate) fn means(&self, node_id: &str, tags: &std::collections::BTreeMap<String, String>) -> bool {
        match self {
            Self::Named(ids) => ids.iter().any(|id| id == node_id),
            Self::Everything => true,
            Self::Matching(criteria) => criteria.iter().all(|criterion| match criterion {
                Criterion::NodeId(ids) => ids.contains(node_id),
                Criterion::Tag { key, values } => tags.get(key).is_some_and(|value| values.contains(value)),
                Criterion::TagKey(keys) => tags.keys().any(|key| keys.contains(key)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const A: &str = "mi-0000000000000000a";
    const B: &str = "mi-0000000000000000b";
    const C: &str = "mi-0000000000000000c";

    fn parse(expressions: &[(&str, &[&str])]) -> Result<Selection, Refusal> {
        Selection::parse(ResolveTargetsRequest {
            instance_ids: Vec::new(),
            targets: expressions
                .iter()
                .map(|(key, values)| TargetExpression {
                    key: (*key).to_owned(),
                    values: values.iter().map(|value| (*value).to_owned()).collect(),
                })
                .collect(),
            ..ResolveTargetsRequest::default()
        })
    }

    fn named(ids: &[&str]) -> Selection {
        Selection::Named(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    #[test]
    fn explicit_ids_keep_their_order_and_come_once() {
        let request = ResolveTargetsRequest {
            instance_ids: [C, A, "web", C].map(str::to_owned).into(),
            targets: Vec::new(),
            ..ResolveTargetsRequest::default()
        };
        assert_eq!(Selection::parse(request), Ok(named(&[C, A, "web"])));
    }

    #[test]
    fn lists_of_ids_are_told_by_name() {
        assert_eq!(parse(&[("InstanceIds", &[B, A])]), Ok(named(&[A, B])));
        assert_eq!(
            parse(&[("instanceids", &[B, A]), ("InstanceIds", &[C, B])]),
            Ok(named(&[B]))
        );
        assert_eq!(
            parse(&[("InstanceIds", &["*"]), ("InstanceIds", &[B])]),
            Ok(named(&[B]))
        );
        assert_eq!(parse(&[("InstanceIds", &["*"])]), Ok(Selection::Everything));
        let mixed = parse(&[("InstanceIds", &[A]), ("tag:x", &["y"])]).unwrap();
        assert!(matches!(mixed, Selection::Matching(criteria) if criteria.len() == 2));
    }

    #[test]
    fn expressions_that_break_a_rule_are_refused_by_name() {
        let many: Vec<String> = (0..51).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let one: (&str, &[&str]) = ("tag:x", &["y"]);
        let check = |expressions: &[(&str, &[&str])], text: &str| {
            let refusal = parse(expressions).unwrap_err();
            assert!(refusal.message.contains(text), "{}", refusal.message);
        };
        check(&[], "must be given");
        check(&[one; 6], "5 targets, not 6");
        check(&[("tag:", &["y"])], "tag:");
        check(&[("Tag:x", &["y"])], "Tag:x");
        check(&[("InstanceIds", &[])], "1 to 50");
        check(&[("tag-key", &[])], "1 to 50");
        check(&[("tag:x", &many)], "0 to 50");
        check(&[("InstanceIds", &[A, "*"])], "* alone");
        check(&[("InstanceIds", &["web"])], "web");
        check(&[("tag:x", &["a\0"])], "NUL");
        check(
            &[("resource-groups:Name", &["g"])],
            "resource groups are not supported yet",
        );
        check(&[("resource-groups:ResourceTypeFilters", &[])], "resource groups");
        let both = ResolveTargetsRequest {
            instance_ids: vec![A.to_owned()],
            targets: vec![TargetExpression::default()],
            ..ResolveTargetsRequest::default()
        };
        assert!(Selection::parse(both).is_err());
    }

    #[test]
    fn nodes_are_meant_as_the_spec_says() {
        let tags = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let web = tags(&[("Role", "web"), ("Env", "")]);
        let check = |expressions: &[(&str, &[&str])], expected: bool| {
            assert_eq!(parse(expressions).unwrap().means(A, &web), expected, "{expressions:?}");
        };
        check(&[("tag:Role", &["db", "web"])], true);
        check(&[("tag:Role", &["Web"])], false);
        check(&[("tag:role", &["web"])], false);
        check(&[("tag:Role", &["w*"])], false);
        check(&[("tag:Role", &[])], false);
        check(&[("tag:Env", &[""])], true);
        check(&[("tag:Zone", &[""])], false);
        check(&[("tag-key", &["Zone", "Env"])], true);
        check(&[("tag-key", &["Zone"])], false);
        check(&[("tag:Role", &["web"]), ("tag-key", &["Zone"])], false);
        check(&[("tag:Role", &["web"]), ("InstanceIds", &[A, B])], true);
        check(&[("tag:Role", &["web"]), ("InstanceIds", &[B])], false);
        check(&[("tag:Role", &["web"]), ("InstanceIds", &["*"])], true);
        check(&[("tag:Role", &["web"]), ("tag:Role", &["db"])], false);
    }

    proptest! {
        #[test]
        fn another_expression_never_adds_nodes(
            first in "[ab]", second in "[ab]", tags in prop::collection::btree_map("[ab]", "[xy]", 0..3),
        ) {
            let one = (format!("tag:{first}"), ["x"]);
            let two = (format!("tag:{second}"), ["y"]);
            let alone = parse(&[(&one.0, &one.1)]).unwrap();
            let both = parse(&[(&one.0, &one.1), (&two.0, &two.1)]).unwrap();
            prop_assert!(!both.means(A, &tags) || alone.means(A, &tags));
        }
    }
}
