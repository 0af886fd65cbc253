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
use crate::error::from_store;
use crate::store::identity;

impl NodesApi {
    pub(super) async fn concerns(&self, _: ListConcernsRequest) -> Result<ListConcernsResult, Failure> {
        let found = identity::concerns(&self.db).await.map_err(from_store)?;
        let concerns = found
            .into_iter()
            .map(|(node_id, concern)| NodeConcern { node_id, concern });
        Ok(ListConcernsResult {
            concerns: concerns.collect(),
        })
    }

    pub(super) async fn approve(&self, request: ApproveNodeRequest) -> Result<ApproveNodeResult, Failure> {
        let id = request.node_id;
        let unknown = || Refusal::new(Reason::InvalidInstanceId, format!("{id} is no managed node"));
        let node: NodeId = id.parse().map_err(|_| unknown())?;
        match identity::approve(&self.db, node.as_str()).await {
            Ok(()) => {}
            Err(StoreError::Missing) => return Err(unknown().into()),
            Err(error) => return Err(from_store(error)),
        }
        tracing::info!(node_id = node.as_str(), "an operator approved a node");
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
