//! `CancelRollout`.

use muster_proto::fanout::v1::{CancelRolloutRequest, CancelRolloutResult};
use muster_wire::Failure;

use super::Api;
use crate::contract::{node_id, rollout_id};
use crate::work::Input;

impl Api {
    pub(super) async fn cancel(&self, request: &CancelRolloutRequest) -> Result<CancelRolloutResult, Failure> {
        let id = rollout_id(&request.rollout_id)?;
        let nodes = request
            .node_ids
            .iter()
            .map(|id| node_id(id))
            .collect::<Result<_, _>>()?;
        self.ask(|answer| Input::Cancel {
            id,
            nodes,
            forwarded: false,
            answer,
        })
        .await?;
        Ok(CancelRolloutResult {})
    }
}
