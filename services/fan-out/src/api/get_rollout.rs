//! `GetRollout`: what is stored, whichever replica works on it.

use muster_proto::fanout::v1::{GetRolloutRequest, GetRolloutResult, TargetView};
use muster_wire::Failure;

use super::Api;
use super::sight::Reader;
use crate::contract::{Order, rollout_id, state, wire_time};
use crate::domain::{Rollout, TargetState};
use crate::error::{from_store, no_such_rollout};
use crate::store::load;

impl Api {
    pub(super) async fn get(&self, reader: &Reader, request: &GetRolloutRequest) -> Result<GetRolloutResult, Failure> {
        let id = rollout_id(&request.rollout_id)?;
        let stored = load::rollout(&self.db, id).await.map_err(from_store)?;
        let stored = stored.ok_or_else(|| no_such_rollout(id))?;
        let order = Order::reread(&stored.request, stored.concurrency, stored.errors_allowed).map_err(from_store)?;
        reader.must_see(&self.channel, id, &order.owner).await?;
        Ok(view(&Rollout::restore(order.plan, &stored.saved), order.owner))
    }
}

fn view(rollout: &Rollout, owner: String) -> GetRolloutResult {
    let targets = rollout.targets().iter().map(|target| TargetView {
        node_id: target.node.to_string(),
        state: state(TargetState::from(target.progress().phase)).into(),
        attempts: target.progress().attempts,
    });
    GetRolloutResult {
        rollout_id: rollout.id().to_string(),
        owner,
        concurrency: rollout.concurrency(),
        errors_allowed: rollout.errors_allowed(),
        cancelled: rollout.is_cancelled(),
        breached: rollout.is_breached(),
        deadline: Some(wire_time(rollout.deadline())),
        targets: targets.collect(),
    }
}
