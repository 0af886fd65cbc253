//! `Nodes.SyncRevocations` (fleet 9): what the bus refuses, and what it should refuse.
//!
//! Nothing is noted when the bus was told: whoever tells it comes back with what it holds, so what got lost is missing
//! again, and it does not matter how many there are that tell it.

use muster_proto::fleet::v1::{SyncRevocationsRequest, SyncRevocationsResult};
use muster_wire::Failure;

use super::NodesApi;
use crate::domain::revocation::{aged, horizon, settle};
use crate::error::from_store;
use crate::store::key;

impl NodesApi {
    pub(super) async fn revocations(&self, request: SyncRevocationsRequest) -> Result<SyncRevocationsResult, Failure> {
        let now = self.clock.now().as_microsecond();
        let held = request.held.into_iter().collect();
        let retired = key::retired_since(&self.db, horizon(now)).await.map_err(from_store)?;
        let nodes = key::known(&self.db, &aged(&held, now)).await.map_err(from_store)?;
        let settlement = settle(&retired, &held, nodes, now);
        self.metrics
            .missing_revocations
            .set(i64::try_from(settlement.missing.len()).unwrap_or(i64::MAX));
        Ok(SyncRevocationsResult {
            missing: settlement.missing.into_iter().collect(),
            over: settlement.over,
        })
    }
}
