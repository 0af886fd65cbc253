//! `StartRollout`.

use muster_proto::fanout::v1::{StartRolloutRequest, StartRolloutResult};
use muster_wire::{Failure, trace};
use prost::Message;

use super::Api;
use crate::contract::Order;
use crate::work::Input;

impl Api {
    pub(super) async fn start(&self, request: StartRolloutRequest) -> Result<StartRolloutResult, Failure> {
        let encoded = request.encode_to_vec();
        let order = Box::new(Order::read(request, self.limits)?);
        let traceparent = trace::current().unwrap_or_default();
        self.ask(|answer| Input::Start {
            order,
            request: encoded,
            traceparent,
            answer,
        })
        .await?;
        Ok(StartRolloutResult {})
    }
}
