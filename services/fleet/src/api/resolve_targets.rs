//! `Nodes.ResolveTargets` (run-command 3): nodes as they are at this moment.

use std::collections::HashMap;

use muster_proto::fleet::v1::{ResolveTargetsRequest, ResolveTargetsResult, ResolvedNode, UnresolvedNode};
use muster_wire::Failure;

use super::NodesApi;
use crate::domain::target::Selection;
use crate::error::from_store;
use crate::store::tag;
use crate::store::target::{Named, TargetRow, everything, matching, named};

impl NodesApi {
    pub(super) async fn resolve(&self, request: ResolveTargetsRequest) -> Result<ResolveTargetsResult, Failure> {
        let with_tags = request.with_tags;
        let mut result = match Selection::parse(request)? {
            Selection::Named(ids) => {
                let found = named(&self.db, &ids).await.map_err(from_store)?;
                by_name(ids, found)
            }
            Selection::Everything => all(everything(&self.db).await.map_err(from_store)?),
            Selection::Matching(criteria) => all(matching(&self.db, &criteria).await.map_err(from_store)?),
        };
        if with_tags {
            let ids: Vec<&str> = result.nodes.iter().map(|node| node.node_id.as_str()).collect();
            let mut tags = tag::of_nodes(&self.db, &ids).await.map_err(from_store)?;
            for node in &mut result.nodes {
                node.tags = tags.remove(&node.node_id).unwrap_or_default();
            }
        }
        Ok(result)
    }
}

fn by_name(ids: Vec<String>, found: Vec<Named>) -> ResolveTargetsResult {
    let mut result = ResolveTargetsResult::default();
    for (node_id, named) in ids.into_iter().zip(found) {
        let reason = match named {
            Named::Managed(row) => {
                result.nodes.push(resolved(row));
                continue;
            }
            Named::Deregistered => "deregistered",
            Named::Unknown => "unknown",
        };
        result.unresolved.push(UnresolvedNode {
            node_id,
            reason: reason.to_owned(),
        });
    }
    result
}

fn all(rows: Vec<TargetRow>) -> ResolveTargetsResult {
    ResolveTargetsResult {
        nodes: rows.into_iter().map(resolved).collect(),
        unresolved: Vec::new(),
    }
}

fn resolved(row: TargetRow) -> ResolvedNode {
    ResolvedNode {
        node_id: row.node_id,
        platform_type: row.platform_type,
        platform_name: row.platform_name,
        platform_version: row.platform_version,
        computer_name: row.computer_name,
        agent_version: row.agent_version,
        capabilities: row.capabilities.split_whitespace().map(str::to_owned).collect(),
        tags: HashMap::new(),
    }
}
