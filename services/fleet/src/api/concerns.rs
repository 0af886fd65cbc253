//! `Nodes.ListConcerns` and `Nodes.ApproveNode`: nodes about which an operator is asked (agent.md B8).

use muster_model::NodeId;
use muster_proto::agent::v1::ConfigChanged;
use muster_proto::aws::v1::Reason;
use muster_proto::fleet::v1::{
    ApproveNodeRequest, ApproveNodeResult, ListConcernsRequest, ListConcernsResult, NodeConcern,
};
use muster_store::StoreError;
use muster_wire::{Failure, Refusal, subject};
use prost::Message;

use super::NodesApi;
use super::view::time;
use crate::error::from_store;
use crate::store::claim::{self, Leave};

impl NodesApi {
    pub(super) async fn concerns(&self, _: ListConcernsRequest) -> Result<ListConcernsResult, Failure> {
        let found = claim::all(&self.db).await.map_err(from_store)?;
        let concerns = found.into_iter().map(|row| NodeConcern {
            time: time(row.claimed_at),
            node_id: row.node_id,
            concern: row.concern,
            fingerprint: row.fingerprint,
            source: row.source,
        });
        Ok(ListConcernsResult {
            concerns: concerns.collect(),
        })
    }

    pub(super) async fn approve(&self, request: ApproveNodeRequest) -> Result<ApproveNodeResult, Failure> {
        let id = request.node_id;
        let unknown = || Refusal::new(Reason::InvalidInstanceId, format!("{id} is no managed node"));
        let node: NodeId = id.parse().map_err(|_| unknown())?;
        match claim::approve(&self.db, node.as_str(), &request.fingerprint).await {
            Ok(Leave::Given) => {}
            Ok(Leave::NoSuchClaim(claims)) => return Err(no_such_claim(&node, &request.fingerprint, &claims).into()),
            Err(StoreError::Missing) => return Err(unknown().into()),
            Err(error) => return Err(from_store(error)),
        }
        tracing::info!(
            node_id = node.as_str(),
            fingerprint = request.fingerprint,
            "an operator approved a machine"
        );
        let changed = ConfigChanged {}.encode_to_vec();
        if let Err(error) = self.nats.publish(subject::config(&node), changed.into()).await {
            // It asks again by itself.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a node was not told that it may go on"
            );
        }
        Ok(ApproveNodeResult {})
    }
}

fn no_such_claim(node: &NodeId, fingerprint: &str, claims: &[String]) -> Refusal {
    let message = match (fingerprint, claims) {
        (_, []) => format!("no machine asks for leave to be {node}: let it ask first"),
        ("", [one]) => format!("say which machine may be {node}: one with fingerprint {one} asks; compare it there"),
        ("", many) => format!("say which machine may be {node}; those ask: {}", many.join(", ")),
        (given, many) => format!(
            "no machine with fingerprint {} asks for leave to be {node}; those ask: {}",
            given.escape_debug(),
            many.join(", ")
        ),
    };
    Refusal::validation(message)
}
