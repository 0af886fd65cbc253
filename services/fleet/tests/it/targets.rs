//! `ResolveTargets` as run-command calls it.

use muster_proto::fleet::v1::{ResolveTargetsRequest, ResolvedNode, TargetExpression, UnresolvedNode};
use muster_wire::Reason;

use crate::world::refusal;

const STRANGER: &str = "mi-00000000000000000";

fn ids(ids: &[&str]) -> ResolveTargetsRequest {
    ResolveTargetsRequest {
        instance_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..ResolveTargetsRequest::default()
    }
}

fn targets(expressions: &[(&str, &[&str])]) -> ResolveTargetsRequest {
    ResolveTargetsRequest {
        targets: expressions
            .iter()
            .map(|(key, values)| TargetExpression {
                key: (*key).to_owned(),
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            })
            .collect(),
        ..ResolveTargetsRequest::default()
    }
}

fn of(nodes: &[ResolvedNode]) -> Vec<&str> {
    nodes.iter().map(|node| node.node_id.as_str()).collect()
}

fn unknown(id: &str) -> UnresolvedNode {
    UnresolvedNode {
        node_id: id.to_owned(),
        reason: "unknown".to_owned(),
    }
}

by_both_surfaces!(explicit_ids_keep_their_order, |world, clients| {
    let mut nodes = vec![world.register("a", &[]).await, world.register("b", &[]).await];
    nodes.sort();
    nodes.reverse();
    let request = ids(&[&nodes[0], STRANGER, &nodes[1]]);
    let resolved = clients.nodes.resolve_targets(request).await.unwrap().into_inner();
    assert_eq!(of(&resolved.nodes), nodes);
    assert_eq!(resolved.unresolved, [unknown(STRANGER)]);
    let node = &resolved.nodes[0];
    assert_eq!(
        (node.platform_type.as_str(), node.platform_name.as_str()),
        ("Linux", "Debian GNU/Linux")
    );
    assert_eq!(node.capabilities, ["interpolation-env-var"]);
});

by_both_surfaces!(expressions_find_nodes_that_are_away_too, |world, clients| {
    let web = world.register("web", &[("Role", "web"), ("Env", "prod")]).await;
    let db = world.register("db", &[("Role", "db"), ("Env", "")]).await;
    let mut both = vec![web.as_str(), db.as_str()];
    both.sort_unstable();
    let none: [&str; 0] = [];
    for (request, expected) in [
        (targets(&[("tag:Role", &["web", "db"])]), &both[..]),
        (
            targets(&[("tag:Role", &["web", "db"]), ("tag:Env", &["prod"])]),
            &[web.as_str()],
        ),
        (targets(&[("tag:Role", &["Web"])]), &none),
        (targets(&[("tag:Role", &[])]), &none),
        (targets(&[("tag:Env", &[""])]), &[db.as_str()]),
        (targets(&[("tag:Zone", &[""])]), &none),
        (targets(&[("tag-key", &["Zone", "Env"])]), &both),
        (targets(&[("InstanceIds", &["*"])]), &both),
        (
            targets(&[("instanceids", &["*"]), ("tag:Role", &["db"])]),
            &[db.as_str()],
        ),
        (
            targets(&[("InstanceIds", &[&web]), ("tag-key", &["Role"])]),
            &[web.as_str()],
        ),
    ] {
        let resolved = clients
            .nodes
            .resolve_targets(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(of(&resolved.nodes), expected, "{request:?}");
        assert!(resolved.unresolved.is_empty());
    }
    let request = targets(&[("InstanceIds", &[STRANGER, &web])]);
    let resolved = clients.nodes.resolve_targets(request).await.unwrap().into_inner();
    assert_eq!(
        (of(&resolved.nodes), resolved.unresolved),
        (vec![web.as_str()], vec![unknown(STRANGER)])
    );
});

by_both_surfaces!(expressions_that_mean_nothing_are_refused_by_name, |world, clients| {
    for (request, text) in [
        (targets(&[]), "must be given"),
        (targets(&[("Colour", &["red"])]), "Colour"),
        (
            targets(&[("resource-groups:Name", &["g"])]),
            "resource groups are not supported yet",
        ),
    ] {
        let status = clients.nodes.resolve_targets(request).await.unwrap_err();
        let (reason, message) = refusal(status);
        assert_eq!(reason, Reason::ValidationException);
        assert!(message.contains(text), "{message}");
    }
});
