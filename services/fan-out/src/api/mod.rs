//! The service `FanOut`, for the owners of work.

mod cancel_rollout;
mod get_history;
mod get_rollout;
mod start_rollout;

use muster_boot::{Parts, Rights};
use muster_proto::fanout::v1::fan_out_server::FanOut;
use muster_proto::fanout::v1::{
    CancelRolloutRequest, CancelRolloutResult, GetHistoryRequest, GetHistoryResult, GetRolloutRequest,
    GetRolloutResult, StartRolloutRequest, StartRolloutResult,
};
use muster_store::Db;
use muster_wire::Failure;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::Settings;
use crate::contract::{Limits, rollout_id};
use crate::error::{no_such_rollout, unavailable};
use crate::work::{Answer, Input, Inputs};

/// Who may do this sees everybody's commands where others see only their own.
const ALL: &str = "muster:ReadAllCommands";

/// Answers the calls.
#[derive(Debug)]
pub(crate) struct Api {
    db: Db,
    limits: Limits,
    own_only: bool,
    coordinator: Inputs,
}

impl Api {
    pub(crate) fn new(settings: &Settings, parts: &Parts, coordinator: Inputs) -> Self {
        Self {
            db: parts.database(),
            limits: settings.limits(),
            own_only: settings.own_commands_only,
            coordinator,
        }
    }

    /// Lets only who sees everybody's commands see a rollout, where that is asked for: whose it is, only its owner knows.
    fn show<T>(&self, request: &Request<T>, id: &str) -> Result<(), Failure> {
        match !self.own_only || Rights::of(request)?.may(ALL, "*")? {
            true => Ok(()),
            false => Err(no_such_rollout(rollout_id(id)?)),
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
        self.show(&request, &request.get_ref().rollout_id)?;
        Ok(Response::new(self.get(&request.into_inner()).await?))
    }

    async fn get_history(&self, request: Request<GetHistoryRequest>) -> Result<Response<GetHistoryResult>, Status> {
        self.show(&request, &request.get_ref().rollout_id)?;
        Ok(Response::new(self.history(&request.into_inner()).await?))
    }
}
