//! Target expressions: all must hold, any value of one is enough (run-command 3).

use std::collections::BTreeSet;

use muster_model::{NodeId, Target, TargetKey};
use muster_proto::fleet::v1::TargetExpression;
use muster_wire::Refusal;

/// Reads expressions.
pub(crate) fn parse(expressions: &[TargetExpression]) -> Result<Vec<Target>, Refusal> {
    expressions
        .iter()
        .map(|expression| {
            let key: TargetKey = expression
                .key
                .parse()
                .map_err(|error: muster_model::TargetError| Refusal::validation(error.to_string()))?;
            if matches!(key, TargetKey::ResourceGroup | TargetKey::ResourceGroupTypes) {
                return Err(Refusal::validation(format!(
                    "{key}: resource groups are not supported yet; use tag:<key>, tag-key or InstanceIds"
                )));
            }
            let target = Target {
                key,
                values: expression.values.clone(),
            };
            let explicit = target.key == TargetKey::InstanceIds && !target.is_everything();
            if explicit && let Some(bad) = target.values.iter().find(|value| value.parse::<NodeId>().is_err()) {
                return Err(Refusal::validation(format!("InstanceIds: {bad} is no node id")));
            }
            Ok(target)
        })
        .collect()
}

/// Nodes that are in every set; none if there is no set.
pub(crate) fn in_all(sets: Vec<BTreeSet<String>>) -> BTreeSet<String> {
    let mut sets = sets.into_iter();
    let Some(first) = sets.next() else {
        return BTreeSet::new();
    };
    sets.fold(first, |both, set| both.intersection(&set).cloned().collect())
}

/// The ids that a lone list of ids names, of which those that do not exist must be reported.
pub(crate) fn only_ids(targets: &[Target]) -> Option<&[String]> {
    match targets {
        [only] if only.key == TargetKey::InstanceIds && !only.is_everything() => Some(&only.values),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(key: &str, values: &[&str]) -> TargetExpression {
        TargetExpression {
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    #[test]
    fn expressions_are_read_or_refused_by_name() {
        assert!(parse(&[expression("tag:Role", &["web"]), expression("tag-key", &["Env"])]).is_ok());
        assert!(parse(&[expression("InstanceIds", &["*"])]).is_ok());
        let refused = parse(&[expression("resource-groups:Name", &["g"])]).unwrap_err();
        assert!(refused.message.contains("resource groups"));
        assert!(parse(&[expression("InstanceIds", &["mi-1"])]).is_err());
    }

    #[test]
    fn several_expressions_narrow_each_other() {
        let set = |nodes: &[&str]| nodes.iter().map(|node| (*node).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(in_all(vec![set(&["a", "b"]), set(&["b", "c"])]), set(&["b"]));
        assert_eq!(in_all(vec![]), set(&[]));
    }
}
