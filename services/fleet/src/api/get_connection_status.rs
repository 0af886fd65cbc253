//! `GetConnectionStatus` (fleet 3): whoever is not known is not connected, which is no error.

use muster_proto::fleet::v1::{ConnectionStatus, GetConnectionStatusRequest, GetConnectionStatusResponse, PingStatus};
use muster_wire::Failure;

use super::FleetApi;
use crate::domain::ping;
use crate::error::from_store;
use crate::store;

impl FleetApi {
    pub(super) async fn connection(
        &self,
        request: GetConnectionStatusRequest,
    ) -> Result<GetConnectionStatusResponse, Failure> {
        let target = request.target.unwrap_or_default();
        // What is no id is not asked for: it may hold what a database refuses.
        let stored = match target.parse::<muster_model::NodeId>() {
            Ok(node) => store::node::last_ping(&self.db, node.as_str())
                .await
                .map_err(from_store)?,
            Err(_) => None,
        };
        let cutoff = self.cutoff(self.now());
        let is_online = stored
            .map(|stored| self.pulse.last(&target, stored))
            .is_some_and(|last| ping::status(last, cutoff) == PingStatus::Online);
        let status = match is_online {
            true => ConnectionStatus::Connected,
            false => ConnectionStatus::Notconnected,
        };
        Ok(GetConnectionStatusResponse {
            target: Some(target),
            status: Some(status.into()),
        })
    }
}
