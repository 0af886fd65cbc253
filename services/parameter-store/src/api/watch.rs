//! `ParameterWatch`: changes below a path as a stream. They are the events that are published anyway, by whichever replica.

use std::pin::Pin;

use async_nats::Client;
use futures::{Stream, StreamExt as _, future};
use muster_boot::{Rights, while_allowed};
use muster_proto::parameterstore::v1::parameter_watch_server::ParameterWatch;
use muster_proto::parameterstore::v1::{ParameterChange, WatchParametersRequest};
use muster_wire::{Failure, subject};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::domain::event;
use crate::domain::name::{folder, is_below};

type Changes = Pin<Box<dyn Stream<Item = Result<ParameterChange, Status>> + Send + 'static>>;

/// Tells of changes.
#[derive(Debug)]
pub(crate) struct WatchApi {
    nats: Client,
    stopping: CancellationToken,
}

impl WatchApi {
    pub(crate) fn new(nats: Client, stopping: CancellationToken) -> Self {
        Self { nats, stopping }
    }

    async fn changes(&self, request: WatchParametersRequest) -> Result<Changes, Failure> {
        let folder = folder(request.path.as_deref().unwrap_or_default())?;
        let recursive = request.recursive.unwrap_or_default();
        let away = |_| Failure::Unavailable {
            what: "the bus".to_owned(),
        };
        let all = subject::event("parameter-store", "parameter", "*");
        let events = self.nats.subscribe(all).await.map_err(|_| away(()))?;
        // What happens from the answer on is told.
        self.nats.flush().await.map_err(|_| away(()))?;
        let stopping = self.stopping.clone();
        let changes = events
            .take_until(stopping.cancelled_owned())
            .filter_map(move |message| {
                let change = event::read(&message.payload);
                let is_meant = |change: &ParameterChange| is_below(change.name(), &folder, recursive);
                future::ready(change.filter(is_meant).map(Ok))
            });
        Ok(Box::pin(changes))
    }
}

#[tonic::async_trait]
impl ParameterWatch for WatchApi {
    async fn watch_parameters(&self, request: Request<WatchParametersRequest>) -> Result<Response<Changes>, Status> {
        let rights = Rights::of(&request)?;
        let changes = self.changes(request.into_inner()).await?;
        Ok(Response::new(while_allowed(rights, changes)))
    }
}
