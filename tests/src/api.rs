//! The operations over NATS.

use std::time::Duration;

use async_nats::Client;
use muster_harness::until_within;
use muster_proto::aws::v1::{ParameterValueList, Target};
use muster_proto::documents::v1::documents_client::DocumentsClient;
use muster_proto::fleet::v1::fleet_client::FleetClient;
use muster_proto::parameterstore::v1::parameter_store_client::ParameterStoreClient;
use muster_proto::runcommand::v1::run_command_client::RunCommandClient;
use muster_proto::runcommand::v1::{
    Command, CommandInvocation, CommandStatus, GetCommandInvocationRequest, GetCommandInvocationResult,
    ListCommandInvocationsRequest, ListCommandsRequest, SendCommandRequest,
};
use muster_wire::NatsChannel;
use tonic::Status;

/// Clients of the services.
#[derive(Debug, Clone)]
pub struct Api {
    /// Run Command.
    pub commands: RunCommandClient<NatsChannel>,
    /// Documents.
    pub documents: DocumentsClient<NatsChannel>,
    /// Parameters.
    pub parameters: ParameterStoreClient<NatsChannel>,
    /// Nodes.
    pub fleet: FleetClient<NatsChannel>,
    /// The connection.
    pub nats: Client,
}

impl Api {
    /// Clients over a connection.
    #[must_use]
    pub fn new(nats: Client) -> Self {
        let channel = NatsChannel::new(nats.clone());
        Self {
            commands: RunCommandClient::new(channel.clone()),
            documents: DocumentsClient::new(channel.clone()),
            parameters: ParameterStoreClient::new(channel.clone()),
            fleet: FleetClient::new(channel),
            nats,
        }
    }

    /// A request that runs shell lines on nodes.
    #[must_use]
    pub fn script(nodes: &[&str], lines: &[&str]) -> SendCommandRequest {
        SendCommandRequest {
            document_name: Some("AWS-RunShellScript".to_owned()),
            instance_ids: nodes.iter().map(|node| (*node).to_owned()).collect(),
            parameters: [("commands".to_owned(), values(lines))].into_iter().collect(),
            ..SendCommandRequest::default()
        }
    }

    /// The same for all nodes with a tag.
    #[must_use]
    pub fn script_for_tag(key: &str, value: &str, lines: &[&str]) -> SendCommandRequest {
        SendCommandRequest {
            targets: vec![Target {
                key: Some(format!("tag:{key}")),
                values: vec![value.to_owned()],
            }],
            ..Self::script(&[], lines)
        }
    }

    /// Sends a command.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn send(&mut self, request: SendCommandRequest) -> Result<Command, Status> {
        let answer = self.commands.send_command(request).await?;
        Ok(answer.into_inner().command.expect("an answer holds its command"))
    }

    /// Sends a command that must be accepted; gives its id.
    pub async fn start(&mut self, request: SendCommandRequest) -> String {
        let command = self.send(request).await.expect("the command is accepted");
        command.command_id.expect("a command has an id")
    }

    /// A command as it stands.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn command(&mut self, id: &str) -> Result<Command, Status> {
        let request = ListCommandsRequest {
            command_id: Some(id.to_owned()),
            ..ListCommandsRequest::default()
        };
        let mut answer = self.commands.list_commands(request).await?.into_inner();
        Ok(answer.commands.pop().expect("a known command is listed"))
    }

    /// Waits until a command has ended.
    pub async fn ended(&mut self, id: &str) -> Command {
        self.ended_within(id, Duration::from_secs(60)).await
    }

    /// Waits until a command has ended, this long at most.
    pub async fn ended_within(&mut self, id: &str, limit: Duration) -> Command {
        until_within(limit, "the command has ended", async || {
            let command = self.command(id).await.map_err(|status| status.message().to_owned())?;
            match command.status() {
                CommandStatus::Pending | CommandStatus::InProgress | CommandStatus::Cancelling => Err(format!(
                    "{:?}, {:?} of {:?}",
                    command.status_details, command.completed_count, command.target_count
                )),
                _ => Ok(command),
            }
        })
        .await
    }

    /// All invocations of a command, with their steps.
    pub async fn invocations(&mut self, id: &str) -> Vec<CommandInvocation> {
        let mut all = Vec::new();
        let mut next_token = None;
        loop {
            let request = ListCommandInvocationsRequest {
                command_id: Some(id.to_owned()),
                details: Some(true),
                next_token,
                ..ListCommandInvocationsRequest::default()
            };
            let answer = self
                .commands
                .list_command_invocations(request)
                .await
                .expect("the list is answered");
            let page = answer.into_inner();
            all.extend(page.command_invocations);
            next_token = page.next_token;
            if next_token.is_none() {
                return all;
            }
        }
    }

    /// One invocation.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn invocation(&mut self, id: &str, node: &str) -> Result<GetCommandInvocationResult, Status> {
        let request = GetCommandInvocationRequest {
            command_id: Some(id.to_owned()),
            instance_id: Some(node.to_owned()),
            plugin_name: None,
        };
        Ok(self.commands.get_command_invocation(request).await?.into_inner())
    }
}

fn values(items: &[&str]) -> ParameterValueList {
    ParameterValueList {
        items: items.iter().map(|item| (*item).to_owned()).collect(),
    }
}
