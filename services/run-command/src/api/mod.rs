//! The operations: from the contract to the domain and back, one file each.

mod cancel_command;
mod get_command_invocation;
mod known_documents;
mod list_command_invocations;
mod list_commands;
mod log_streams;
mod output;
mod reach;
mod record;
mod send_command;
mod sender;
mod sight;
mod view;

use std::sync::Arc;

use async_nats::Client;
use muster_boot::{Parts, Rights};
use muster_model::{Clock, Timestamp};
use muster_proto::runcommand::v1::run_command_server::RunCommand;
use muster_proto::runcommand::v1::{
    CancelCommandRequest, CancelCommandResult, GetCommandInvocationRequest, GetCommandInvocationResult,
    ListCommandInvocationsRequest, ListCommandInvocationsResult, ListCommandsRequest, ListCommandsResult,
    SendCommandRequest, SendCommandResult,
};
use muster_store::{Db, Pager};
use muster_wire::{Caller, ClientToken};
use tonic::{Request, Response, Status};

use crate::Settings;
use crate::domain::client_token;
use crate::work::{Acceptor, Alarms, Dispatcher, News};

pub(crate) use log_streams::Reading;
pub(crate) use output::Output;
pub(crate) use record::Rollouts;
pub(crate) use sender::Senders;
pub(crate) use sight::Sights;
pub(crate) use view::command as shown;

/// The operations of Run Command.
#[derive(Debug)]
pub(crate) struct Api {
    db: Db,
    nats: Client,
    clock: Arc<dyn Clock>,
    pager: Pager,
    acceptor: Acceptor,
    dispatcher: Dispatcher,
    news: News,
    alarms: Alarms,
    /// ARNs of the configured sinks.
    sinks: Vec<String>,
    max_targets: u32,
    sights: Sights,
    /// There is a place for log streams.
    has_log_streams: bool,
    /// What the URLs of complete outputs begin with.
    objects_url: String,
    known: known_documents::KnownDocuments,
}

/// What goes on beside the calls, as far as they need it.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) acceptor: Acceptor,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) news: News,
    pub(crate) alarms: Alarms,
}

impl Api {
    pub(crate) fn new(settings: &Settings, parts: &Parts, db: Db, pager: Pager, beside: Beside) -> Self {
        let Beside {
            acceptor,
            dispatcher,
            news,
            alarms,
        } = beside;
        Self {
            alarms,
            db,
            nats: parts.nats.clone(),
            clock: Arc::clone(&parts.clock),
            pager,
            acceptor,
            dispatcher,
            news,
            sinks: settings
                .notification_sinks
                .iter()
                .map(|sink| sink.arn.clone())
                .collect(),
            max_targets: settings.max_targets,
            sights: Sights {
                own_only: settings.own_commands_only,
            },
            has_log_streams: settings.log_streams.is_configured(),
            objects_url: settings.objects_url.clone(),
            known: known_documents::KnownDocuments::default(),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[tonic::async_trait]
impl RunCommand for Api {
    async fn send_command(&self, request: Request<SendCommandRequest>) -> Result<Response<SendCommandResult>, Status> {
        let rights = Rights::of(&request)?;
        let caller = &Caller::of(&request)?.principal;
        let token = ClientToken::of(&request)?;
        let once = token.map(|token| client_token::command(&token, caller));
        // Whoever did not have to be allowed to send it need not be allowed what it refers to either.
        let sender = match Caller::of(&request)?.is_decided() {
            true => caller.clone(),
            false => Caller::service().principal,
        };
        Ok(Response::new(
            self.send(request.into_inner(), once, &sender, &rights).await?,
        ))
    }

    async fn list_commands(
        &self,
        request: Request<ListCommandsRequest>,
    ) -> Result<Response<ListCommandsResult>, Status> {
        let (asker, sight) = (Caller::of(&request)?.principal.clone(), self.sights.of(&request)?);
        Ok(Response::new(self.list(request.into_inner(), &asker, &sight).await?))
    }

    async fn list_command_invocations(
        &self,
        request: Request<ListCommandInvocationsRequest>,
    ) -> Result<Response<ListCommandInvocationsResult>, Status> {
        let (asker, sight) = (Caller::of(&request)?.principal.clone(), self.sights.of(&request)?);
        Ok(Response::new(
            self.list_invocations(request.into_inner(), &asker, &sight).await?,
        ))
    }

    async fn get_command_invocation(
        &self,
        request: Request<GetCommandInvocationRequest>,
    ) -> Result<Response<GetCommandInvocationResult>, Status> {
        let sight = self.sights.of(&request)?;
        Ok(Response::new(self.get_invocation(request.into_inner(), &sight).await?))
    }

    async fn cancel_command(
        &self,
        request: Request<CancelCommandRequest>,
    ) -> Result<Response<CancelCommandResult>, Status> {
        let sight = self.sights.of(&request)?;
        Ok(Response::new(self.cancel(request.into_inner(), &sight).await?))
    }
}
