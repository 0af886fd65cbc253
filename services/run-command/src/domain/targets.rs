//! Whom a command is for: explicit ids or target expressions, one of the two (run-command 2.1, 3).

use std::collections::HashSet;

use muster_model::{NodeId, TargetKey};
use muster_proto::aws::v1::{Reason, Target};
use muster_proto::runcommand::v1::SendCommandRequest;
use muster_wire::Refusal;

/// Whom a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Audience {
    /// These nodes; each must exist.
    Nodes(Vec<NodeId>),
    /// Whoever matches.
    Targets(Vec<Target>),
}

impl Audience {
    /// Reads it from a request.
    pub(crate) fn of(request: &SendCommandRequest) -> Result<Self, Refusal> {
        match (request.instance_ids.is_empty(), request.targets.is_empty()) {
            (true, true) => Err(Refusal::validation(
                "one of InstanceIds and Targets must say which nodes the command is for",
            )),
            (false, false) => Err(Refusal::validation(
                "InstanceIds and Targets exclude each other: give one of them",
            )),
            (false, true) => Self::of_ids(&request.instance_ids),
            (true, false) => Self::of_targets(&request.targets),
        }
    }

    fn of_ids(ids: &[String]) -> Result<Self, Refusal> {
        let mut nodes = Vec::with_capacity(ids.len());
        for id in ids {
            let node = id
                .parse::<NodeId>()
                .map_err(|error| Refusal::new(Reason::InvalidInstanceId, error.to_string()))?;
            nodes.push(node);
        }
        Ok(Self::Nodes(nodes))
    }

    fn of_targets(targets: &[Target]) -> Result<Self, Refusal> {
        for target in targets {
            let key = target.key.as_deref().unwrap_or_default();
            let key = key
                .parse::<TargetKey>()
                .map_err(|error| Refusal::validation(format!("Targets: {error}")))?;
            let needs_values = !matches!(key, TargetKey::Tag(_));
            if needs_values && target.values.is_empty() {
                return Err(Refusal::validation(format!("Targets: {key} needs at least one value")));
            }
        }
        Ok(Self::Targets(targets.to_vec()))
    }

    /// Explicit ids must differ (run-command 2.2, check 4).
    pub(crate) fn refuse_duplicates(&self) -> Result<(), Refusal> {
        let Self::Nodes(nodes) = self else {
            return Ok(());
        };
        refuse_duplicates(nodes)
    }
}

/// Refuses a list in which a node stands twice.
pub(crate) fn refuse_duplicates(nodes: &[NodeId]) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    match nodes.iter().find(|node| !seen.insert(*node)) {
        Some(twice) => Err(Refusal::new(
            Reason::DuplicateInstanceId,
            format!("{twice} stands more than once in InstanceIds"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(key: &str, values: &[&str]) -> Target {
        Target {
            key: Some(key.to_owned()),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    fn request(ids: &[&str], targets: Vec<Target>) -> SendCommandRequest {
        SendCommandRequest {
            instance_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            targets,
            ..SendCommandRequest::default()
        }
    }

    #[test]
    fn exactly_one_way_of_naming_nodes_is_taken() {
        let refused = |request| Audience::of(&request).unwrap_err().reason;
        assert_eq!(refused(request(&[], vec![])), Reason::ValidationException);
        let both = request(&["i-01234567"], vec![target("tag:a", &["b"])]);
        assert_eq!(refused(both), Reason::ValidationException);
        assert!(Audience::of(&request(&["i-01234567"], vec![])).is_ok());
        assert!(Audience::of(&request(&[], vec![target("tag:a", &[])])).is_ok());
    }

    #[test]
    fn unknown_target_keys_and_missing_values_are_refused() {
        for bad in [
            target("role", &["web"]),
            target("tag-key", &[]),
            target("InstanceIds", &[]),
        ] {
            assert!(Audience::of(&request(&[], vec![bad])).is_err());
        }
    }

    #[test]
    fn a_node_that_stands_twice_is_named() {
        let audience = Audience::of(&request(&["i-01234567", "i-76543210", "i-01234567"], vec![])).unwrap();
        let refusal = audience.refuse_duplicates().unwrap_err();
        assert_eq!(refusal.reason, Reason::DuplicateInstanceId);
        assert!(refusal.message.contains("i-01234567"));
    }
}
