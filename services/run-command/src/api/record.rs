//! `RunCommandRollouts.Record`: the coordinator tells what happened to targets.

use muster_proto::fanout::v1::{RecordRequest, RecordResult};
use muster_proto::runcommand::v1::run_command_rollouts_server::RunCommandRollouts;
use muster_store::Db;
use tonic::{Request, Response, Status};

use crate::error::from_store;
use crate::store::record::record;
use crate::work::{News, Notifier};

/// Hears the coordinator.
#[derive(Debug)]
pub(crate) struct Rollouts {
    db: Db,
    news: News,
    notifier: Notifier,
}

impl Rollouts {
    pub(crate) fn new(db: Db, news: News, notifier: Notifier) -> Self {
        Self { db, news, notifier }
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
}
