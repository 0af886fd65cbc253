//! `Nodes.RotateKey` (fleet 9): has a node take another key.

use muster_model::NodeId;
use muster_proto::agent::v1::ConfigChanged;
use muster_proto::aws::v1::Reason;
use muster_proto::fleet::v1::{RotateKeyRequest, RotateKeyResult};
use muster_store::StoreError;
use muster_wire::{Failure, Refusal, subject};
use prost::Message;

use super::NodesApi;
use crate::error::from_store;
use crate::store::key;

impl NodesApi {
    pub(super) async fn rotate(&self, request: RotateKeyRequest) -> Result<RotateKeyResult, Failure> {
        let id = request.node_id;
        let unknown = || Refusal::new(Reason::InvalidInstanceId, format!("{id} is no managed node"));
        let node: NodeId = id.parse().map_err(|_| unknown())?;
        if !self.issues_credentials {
            let message = "nodes have no keys here: the bus needs no credentials";
            return Err(Refusal::new(Reason::UnsupportedOperationException, message).into());
        }
        match key::ask(&self.db, node.as_str(), self.clock.now().as_microsecond()).await {
            Ok(()) => {}
            Err(StoreError::Missing) => return Err(unknown().into()),
            Err(error) => return Err(from_store(error)),
        }
        tracing::info!(node_id = node.as_str(), "a node is to take another key");
        let changed = ConfigChanged {}.encode_to_vec();
        if let Err(error) = self.nats.publish(subject::config(&node), changed.into()).await {
            // It hears of it at its next hello.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a node was not told that it is to take another key"
            );
        }
        Ok(RotateKeyResult {})
    }
}
