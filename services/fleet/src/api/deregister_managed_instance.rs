//! `DeregisterManagedInstance` (fleet 5): the node is gone at once from all lists and from target resolution.

use muster_model::NodeId;
use muster_proto::aws::v1::Reason;
use muster_proto::fleet::v1::{DeregisterManagedInstanceRequest, DeregisterManagedInstanceResult};
use muster_store::StoreError;
use muster_wire::{Failure, Refusal};

use super::FleetApi;
use crate::error::from_store;
use crate::store;

impl FleetApi {
    pub(super) async fn deregister(
        &self,
        request: DeregisterManagedInstanceRequest,
    ) -> Result<DeregisterManagedInstanceResult, Failure> {
        let id = request.instance_id.unwrap_or_default();
        let unknown = || Refusal::new(Reason::InvalidInstanceId, format!("{id} is no managed node"));
        // The contract also lets ids of other kinds of machines through, which Muster has not.
        let node: NodeId = id.parse().map_err(|_| unknown())?;
        match store::node::deregister(&self.db, node.as_str(), self.now().as_microsecond()).await {
            Ok(()) => {
                self.news.deregistered(node.as_str()).await;
                Ok(DeregisterManagedInstanceResult {})
            }
            Err(StoreError::Missing) => Err(unknown().into()),
            Err(error) => Err(from_store(error)),
        }
    }
}
