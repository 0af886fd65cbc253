//! `RunCommandRollouts`: the coordinator tells what happened to targets, and asks who sees a command.

use muster_model::CommandId;
use muster_proto::fanout::v1::{IsSeenRequest, IsSeenResult, RecordRequest, RecordResult};
use muster_proto::runcommand::v1::run_command_rollouts_server::RunCommandRollouts;
use muster_store::Db;
use muster_wire::{Failure, Principal};
use tonic::{Request, Response, Status};

use super::Sights;
use crate::domain::sight::Sight;
use crate::error::from_store;
use crate::store::read;
use crate::store::record::record;
use crate::work::{News, Notifier};

/// Hears the coordinator.
#[derive(Debug)]
pub(crate) struct Rollouts {
    db: Db,
    news: News,
    notifier: Notifier,
    sights: Sights,
}

impl Rollouts {
    pub(crate) fn new(db: Db, news: News, notifier: Notifier, sights: Sights) -> Self {
        Self {
            db,
            news,
            notifier,
            sights,
        }
    }

    async fn is_seen(&self, request: IsSeenRequest) -> Result<bool, Failure> {
        if !self.sights.own_only {
            return Ok(true);
        }
        let Ok(id) = request.rollout_id.parse::<CommandId>() else {
            return Ok(false);
        };
        let sight = Sight::Own(Principal::new(request.principal).map_err(Failure::internal)?);
        let seen = read::seen(&self.db, id, &sight).await.map_err(from_store)?;
        Ok(seen.is_some())
    }
}

#[tonic::async_trait]
impl RunCommandRollouts for Rollouts {
    async fn record(&self, request: Request<RecordRequest>) -> Result<Response<RecordResult>, Status> {
        let request = request.into_inner();
        let told = record(&self.db, &request.transitions)
            .await
            .map_err(|error| Status::from(from_store(error)))?;
        if told.notifies() {
            self.notifier.wake();
        }
        self.news.tell(told.news);
        Ok(Response::new(RecordResult {}))
    }

    async fn is_seen(&self, request: Request<IsSeenRequest>) -> Result<Response<IsSeenResult>, Status> {
        let is_seen = self.is_seen(request.into_inner()).await?;
        Ok(Response::new(IsSeenResult { is_seen }))
    }
}
