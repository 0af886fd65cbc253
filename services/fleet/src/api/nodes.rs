//! `Nodes`: what other services and agents ask.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use muster_proto::aws::v1::Tag;
use muster_proto::fleet::v1::nodes_server::Nodes;
use muster_proto::fleet::v1::{
    RegisterNodeRequest, RegisterNodeResult, ResolveTargetsRequest, ResolveTargetsResult, ResolvedNode, UnresolvedNode,
};
use muster_store::{Db, StoreError};
use muster_wire::{Failure, Refusal};
use tonic::{Request, Response, Status};

use crate::domain::{tag, target};
use crate::error::from_store;
use crate::store;
use crate::store::node::NodeRow;
use crate::store::register::Registration;
use crate::work::Registrar;

/// Registration and target resolution.
#[derive(Debug)]
pub(crate) struct NodesApi {
    db: Db,
    registrar: Registrar,
}

impl NodesApi {
    pub(crate) fn new(db: Db, registrar: Registrar) -> Self {
        Self { db, registrar }
    }

    async fn register(&self, request: RegisterNodeRequest) -> Result<RegisterNodeResult, Failure> {
        if request.machine_identity.is_empty() {
            return Err(Refusal::validation("a machine needs an identity to register").into());
        }
        let tags: Vec<_> = request
            .tags
            .iter()
            .map(|(key, value)| Tag {
                key: Some(key.clone()),
                value: Some(value.clone()),
            })
            .collect();
        let registered = self
            .registrar
            .register(Registration {
                machine_identity: request.machine_identity,
                as_new: request.as_new,
                name: request.name,
                tags: tag::add(BTreeMap::new(), &tags)?,
                facts: request.facts.unwrap_or_default(),
            })
            .await?;
        Ok(RegisterNodeResult {
            node_id: registered.node_id,
            existing: registered.existing,
        })
    }

    async fn resolve(&self, request: ResolveTargetsRequest) -> Result<ResolveTargetsResult, Failure> {
        let (ids, ordered) = if request.targets.is_empty() {
            (request.instance_ids.clone(), true)
        } else {
            let targets = target::parse(&request.targets)?;
            let mut sets = Vec::with_capacity(targets.len());
            for target in &targets {
                sets.push(store::target::matching(&self.db, target).await.map_err(from_store)?);
            }
            let mut nodes: BTreeSet<String> = target::in_all(sets);
            // A lone list of ids: those that do not exist are told as such.
            nodes.extend(target::only_ids(&targets).unwrap_or_default().iter().cloned());
            (nodes.into_iter().collect(), false)
        };
        let texts: Vec<_> = ids.iter().map(String::as_str).collect();
        let rows = store::node::by_ids(&self.db, &texts).await.map_err(from_store)?;
        let found: HashSet<_> = rows.iter().map(|row| row.node_id.clone()).collect();
        let mut unresolved = Vec::new();
        for id in ids.iter().filter(|id| !found.contains(*id)) {
            let was = store::node::was_ever(&self.db, id).await.map_err(from_store)?;
            unresolved.push(UnresolvedNode {
                node_id: id.clone(),
                reason: if was { "deregistered" } else { "unknown" }.to_owned(),
            });
        }
        let nodes = rows
            .iter()
            .map(resolved)
            .collect::<Result<Vec<_>, _>>()
            .map_err(from_store)?;
        let nodes = if ordered { in_order(&ids, nodes) } else { nodes };
        Ok(ResolveTargetsResult { nodes, unresolved })
    }
}

fn resolved(row: &NodeRow) -> Result<ResolvedNode, StoreError> {
    let facts = row.facts()?;
    Ok(ResolvedNode {
        node_id: row.node_id.clone(),
        platform_type: facts.platform_type,
        platform_name: facts.platform_name,
        platform_version: facts.platform_version,
        computer_name: facts.computer_name,
        agent_version: facts.agent_version,
        capabilities: facts.capabilities,
    })
}

/// Explicit ids keep the order in which they were given.
fn in_order(ids: &[String], nodes: Vec<ResolvedNode>) -> Vec<ResolvedNode> {
    let mut by_id: HashMap<_, _> = nodes.into_iter().map(|node| (node.node_id.clone(), node)).collect();
    ids.iter().filter_map(|id| by_id.remove(id)).collect()
}

#[tonic::async_trait]
impl Nodes for NodesApi {
    async fn register_node(
        &self,
        request: Request<RegisterNodeRequest>,
    ) -> Result<Response<RegisterNodeResult>, Status> {
        Ok(Response::new(self.register(request.into_inner()).await?))
    }

    async fn resolve_targets(
        &self,
        request: Request<ResolveTargetsRequest>,
    ) -> Result<Response<ResolveTargetsResult>, Status> {
        Ok(Response::new(self.resolve(request.into_inner()).await?))
    }
}
