//! `CancelRollout`.

use muster_proto::fanout::v1::{CancelRolloutRequest, CancelRolloutResult};
use muster_wire::{Failure, Refusal};

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
        if request.only_unsent && !request.node_ids.is_empty() {
            return Err(Refusal::validation("only_unsent is for the whole rollout: leave out node_ids").into());
        }
        self.ask(|answer| Input::Cancel {
            id,
            nodes,
            only_unsent: request.only_unsent,
            forwarded: false,
            answer,
        })
        .await?;
        Ok(CancelRolloutResult {})
    }
}
