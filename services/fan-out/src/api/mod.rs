//! The service `FanOut`, for the owners of work.

mod cancel_rollout;
mod get_history;
mod get_rollout;
mod sight;
mod start_rollout;

use muster_boot::Parts;
use muster_proto::fanout::v1::fan_out_server::FanOut;
use muster_proto::fanout::v1::{
    CancelRolloutRequest, CancelRolloutResult, GetHistoryRequest, GetHistoryResult, GetRolloutRequest,
    GetRolloutResult, StartRolloutRequest, StartRolloutResult,
};
use muster_store::Db;
use muster_wire::{Failure, NatsChannel};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::Settings;
use crate::contract::Limits;
use crate::error::unavailable;
use crate::work::{Answer, Input, Inputs};

use sight::Reader;

/// Answers the calls.
#[derive(Debug)]
pub(crate) struct Api {
    db: Db,
    limits: Limits,
    coordinator: Inputs,
    /// To the owners.
    channel: NatsChannel,
}

impl Api {
    pub(crate) fn new(settings: &Settings, parts: &Parts, coordinator: Inputs) -> Self {
        Self {
            db: parts.database(),
            limits: settings.limits(),
            coordinator,
            channel: NatsChannel::new(parts.nats.clone()),
        }
    }

    /// Hands the coordinator something to do, and waits until that is committed.
    async fn ask(&self, input: impl FnOnce(Answer) -> Input) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        let stopping = || unavailable("fan-out, which is stopping,");
        self.coordinator
            .send(input(Answer::Call(answer)))
            .await
            .map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

#[tonic::async_trait]
impl FanOut for Api {
    async fn start_rollout(
        &self,
        request: Request<StartRolloutRequest>,
    ) -> Result<Response<StartRolloutResult>, Status> {
        Ok(Response::new(self.start(request.into_inner()).await?))
    }

    async fn cancel_rollout(
        &self,
        request: Request<CancelRolloutRequest>,
    ) -> Result<Response<CancelRolloutResult>, Status> {
        Ok(Response::new(self.cancel(&request.into_inner()).await?))
    }

    async fn get_rollout(&self, request: Request<GetRolloutRequest>) -> Result<Response<GetRolloutResult>, Status> {
        Ok(Response::new(
            self.get(&Reader::of(&request)?, request.get_ref()).await?,
        ))
    }

    async fn get_history(&self, request: Request<GetHistoryRequest>) -> Result<Response<GetHistoryResult>, Status> {
        Ok(Response::new(
            self.history(&Reader::of(&request)?, request.get_ref()).await?,
        ))
    }
}
