//! `CommandSenders.GetSender`: who sent what runs on a node.

use muster_model::CommandId;
use muster_proto::runcommand::v1::command_senders_server::CommandSenders;
use muster_proto::runcommand::v1::{GetSenderRequest, GetSenderResult};
use muster_store::Db;
use tonic::{Request, Response, Status};

use crate::error::from_store;
use crate::store::read;

/// Knows who sent commands.
#[derive(Debug)]
pub(crate) struct Senders(pub(crate) Db);

#[tonic::async_trait]
impl CommandSenders for Senders {
    async fn get_sender(&self, request: Request<GetSenderRequest>) -> Result<Response<GetSenderResult>, Status> {
        let GetSenderRequest { command_id, node_id } = request.into_inner();
        // Runs of others than Run Command are no commands.
        let sender = match command_id.parse::<CommandId>() {
            Ok(id) => read::sender_of_open(&self.0, id, &node_id).await,
            Err(_) => Ok(None),
        };
        let sender = sender.map_err(|error| Status::from(from_store(error)))?;
        Ok(Response::new(GetSenderResult {
            is_open: sender.is_some(),
            sender: sender.unwrap_or_default(),
        }))
    }
}
