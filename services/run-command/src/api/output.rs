//! `RunCommandOutput`: live output, as a stream and on NATS; and log streams.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use muster_boot::{Rights, rights_lost, while_allowed};
use muster_model::CommandId;
use muster_proto::aws::v1::Reason;
use muster_proto::runcommand::v1::run_command_output_server::RunCommandOutput;
use muster_proto::runcommand::v1::{
    FollowOutputRequest, ListLogStreamsRequest, ListLogStreamsResult, OfferOutputRequest, OfferOutputResult,
    OutputNews, ReadLogStreamRequest, ReadLogStreamResult,
};
use muster_wire::{Caller, Failure, Refusal, subject};
use tonic::{Request, Response, Status};

use crate::api::log_streams::Reading;
use crate::api::sight::Sights;
use crate::domain::sight::Sight;
use crate::error::from_store;
use crate::store;
use crate::work::{Followers, Offer};

type NewsStream = Pin<Box<dyn Stream<Item = Result<OutputNews, Status>> + Send + 'static>>;

/// Lets callers follow.
#[derive(Debug)]
pub(crate) struct Output {
    pub(super) followers: Followers,
    pub(super) reading: Reading,
    sights: Sights,
}

impl Output {
    pub(crate) fn new(followers: Followers, reading: Reading, sights: Sights) -> Self {
        Self {
            followers,
            reading,
            sights,
        }
    }

    /// The command, if the caller sees it and it has these nodes.
    async fn check(&self, request: &FollowOutputRequest, sight: &Sight) -> Result<CommandId, Failure> {
        let text = request.command_id.as_deref().unwrap_or_default();
        let unknown = || Refusal::new(Reason::InvalidCommandId, format!("there is no command {text}"));
        let id: CommandId = text.parse().map_err(|_| unknown())?;
        let known = store::read::seen(&self.followers.db, id, sight)
            .await
            .map_err(from_store)?;
        known.ok_or_else(unknown)?;
        self.refuse_strangers(id, &request.instance_ids).await?;
        Ok(id)
    }

    /// Refuses nodes that are no targets of the command.
    pub(super) async fn refuse_strangers(&self, id: CommandId, nodes: &[String]) -> Result<(), Failure> {
        let strangers = store::cancel::strangers(&self.followers.db, id, nodes)
            .await
            .map_err(from_store)?;
        match strangers.first() {
            Some(node) => {
                let message = format!("{node} is no target of command {id}");
                Err(Refusal::new(Reason::InvalidInstanceId, message).into())
            }
            None => Ok(()),
        }
    }

    async fn offer(
        &self,
        request: OfferOutputRequest,
        person: &str,
        sight: &Sight,
        rights: Rights,
    ) -> Result<OfferOutputResult, Failure> {
        let follow = request.follow.unwrap_or_default();
        let listener = request.listener.unwrap_or_default();
        let id = self.check(&follow, sight).await?;
        let all = &self.followers;
        let offer = Offer::open(
            &all.nats,
            [person, &listener],
            request.window_bytes,
            all.stopping.clone(),
        )
        .await?;
        let news = all.follow(id, &follow).await?;
        all.tasks.spawn("offer", async move {
            tokio::select! {
                () = offer.pass_on(news) => {}
                // The listener hears nothing more.
                _ = rights_lost(rights) => {}
            }
            Ok(())
        });
        Ok(OfferOutputResult {
            subject: subject::output_for(person, &listener),
        })
    }
}

#[tonic::async_trait]
impl RunCommandOutput for Output {
    async fn follow_output(&self, request: Request<FollowOutputRequest>) -> Result<Response<NewsStream>, Status> {
        let (rights, sight) = (Rights::of(&request)?, self.sights.of(&request)?);
        let request = request.into_inner();
        let id = self.check(&request, &sight).await?;
        let news = self.followers.follow(id, &request).await?;
        let stream = tokio_stream::wrappers::ReceiverStream::new(news).map(Ok);
        Ok(Response::new(while_allowed(rights, stream)))
    }

    async fn offer_output(&self, request: Request<OfferOutputRequest>) -> Result<Response<OfferOutputResult>, Status> {
        let (rights, sight) = (Rights::of(&request)?, self.sights.of(&request)?);
        let person = Caller::of(&request)?.person_name().to_owned();
        Ok(Response::new(
            self.offer(request.into_inner(), &person, &sight, rights).await?,
        ))
    }

    async fn list_log_streams(
        &self,
        request: Request<ListLogStreamsRequest>,
    ) -> Result<Response<ListLogStreamsResult>, Status> {
        let (asker, sight) = (Caller::of(&request)?.principal.clone(), self.sights.of(&request)?);
        Ok(Response::new(
            self.list_streams(request.into_inner(), &asker, &sight).await?,
        ))
    }

    async fn read_log_stream(
        &self,
        request: Request<ReadLogStreamRequest>,
    ) -> Result<Response<ReadLogStreamResult>, Status> {
        let sight = self.sights.of(&request)?;
        Ok(Response::new(self.read_stream(request.into_inner(), &sight).await?))
    }
}
