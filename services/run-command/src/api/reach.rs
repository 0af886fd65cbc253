//! Which nodes the caller of a command may reach.

use std::collections::HashSet;

use muster_boot::{Rights, TagMap};
use muster_proto::fleet::v1::ResolveTargetsResult;
use muster_wire::Failure;

use crate::domain::targets::Audience;

/// The nodes that the caller may not reach (run-command 3, aws-json-gateway 7).
///
/// # Errors
/// If one of them was named: then nothing is done, whether it is there or not.
pub(super) async fn denied(
    rights: &Rights,
    audience: &Audience,
    resolved: &ResolveTargetsResult,
) -> Result<HashSet<String>, Failure> {
    if rights.are_unlimited() {
        return Ok(HashSet::new());
    }
    let nodes = resolved.nodes.iter();
    let managed = nodes.map(|node| {
        let tags: TagMap = node.tags.clone().into_iter().collect();
        (node.node_id.clone(), tags)
    });
    // What is no node has no tags.
    let unknown = resolved
        .unresolved
        .iter()
        .map(|node| (node.node_id.clone(), TagMap::new()));
    let named: Vec<_> = managed.chain(unknown).collect();
    let ids: Vec<String> = named.iter().map(|(id, _)| id.clone()).collect();
    let judged = rights.judge("managed-instance", named).await?;
    let mut denied = HashSet::new();
    for (id, refusal) in ids.into_iter().zip(judged) {
        match (refusal, audience) {
            (Some(refusal), Audience::Nodes(_)) => return Err(refusal.into()),
            (Some(_), Audience::Targets(_)) => {
                denied.insert(id);
            }
            (None, _) => {}
        }
    }
    Ok(denied)
}
