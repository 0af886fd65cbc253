//! Commands and what became of them on their nodes, as `run` and `commands` need it.

use futures::{StreamExt as _, TryStreamExt as _};
use muster_proto::Word as _;
use muster_proto::runcommand::v1::{
    Command, CommandInvocationStatus, GetCommandInvocationRequest, GetCommandInvocationResult,
    ListCommandInvocationsRequest, ListCommandsRequest,
};
use muster_wire::{Reason, Refusal};
use serde_json::{Value, json};

use crate::complaint::Complaint;
use crate::server::Server;
use crate::{nodes, shape};

/// Requests at the same time.
pub(crate) const AT_ONCE: usize = 16;

/// A command on one node, with its output.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// What a person calls the node.
    pub(crate) name: String,
    pub(crate) result: GetCommandInvocationResult,
}

impl Invocation {
    pub(crate) fn node(&self) -> &str {
        self.result.instance_id()
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.result.status() == CommandInvocationStatus::Success
    }

    /// The finest word for where it stands.
    pub(crate) fn details(&self) -> &str {
        match self.result.status_details() {
            "" => self.result.status().word(),
            details => details,
        }
    }

    /// The exit code, if the script came that far.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        self.result.response_code.filter(|code| *code >= 0)
    }
}

/// A command as it stands.
pub(crate) async fn command(server: &Server, id: &str) -> Result<Command, Complaint> {
    const OPERATION: &str = "RunCommand.ListCommands";
    let request = ListCommandsRequest {
        command_id: Some(id.to_owned()),
        ..ListCommandsRequest::default()
    };
    let answer = server.commands().list_commands(request).await;
    let mut found = answer
        .map_err(|status| Complaint::answered(OPERATION, status))?
        .into_inner()
        .commands;
    found.pop().ok_or_else(|| {
        let refusal = Refusal::new(Reason::InvalidCommandId, format!("there is no command {id}"));
        Complaint::answered(OPERATION, refusal.into())
    })
}

/// Ids of all nodes that the command has an invocation for.
pub(crate) async fn nodes_of(server: &Server, command: &str) -> Result<Vec<String>, Complaint> {
    let mut request = ListCommandInvocationsRequest {
        command_id: Some(command.to_owned()),
        max_results: Some(50),
        ..ListCommandInvocationsRequest::default()
    };
    let mut nodes = Vec::new();
    loop {
        let answer = server.commands().list_command_invocations(request.clone()).await;
        let page = answer
            .map_err(|status| Complaint::answered("RunCommand.ListCommandInvocations", status))?
            .into_inner();
        let of_page = page.command_invocations.into_iter().filter_map(|each| each.instance_id);
        nodes.extend(of_page);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(nodes);
        }
    }
}

/// One invocation with its output.
pub(crate) async fn fetch(server: &Server, command: &str, node: &str) -> Result<Invocation, Complaint> {
    let request = GetCommandInvocationRequest {
        command_id: Some(command.to_owned()),
        instance_id: Some(node.to_owned()),
        plugin_name: None,
    };
    let mut commands = server.commands();
    let of_node = vec![("InstanceIds".to_owned(), vec![node.to_owned()])];
    let (answer, known) = tokio::join!(
        commands.get_command_invocation(request),
        nodes::describe(server, of_node)
    );
    let result = answer
        .map_err(|status| Complaint::answered("RunCommand.GetCommandInvocation", status))?
        .into_inner();
    // The node may have been deregistered since, and a name is not worth an error.
    let known = known.ok().and_then(|nodes| nodes.into_iter().next());
    let name = known.map_or_else(|| node.to_owned(), |node| nodes::called(&node).to_owned());
    Ok(Invocation { name, result })
}

/// All invocations of a command with their outputs, by the names of the nodes.
pub(crate) async fn fetch_all(server: &Server, command: &str) -> Result<Vec<Invocation>, Complaint> {
    let nodes = nodes_of(server, command).await?;
    let requests = futures::stream::iter(&nodes).map(|node| fetch(server, command, node));
    let mut all: Vec<Invocation> = requests.buffer_unordered(AT_ONCE).try_collect().await?;
    sort(&mut all);
    Ok(all)
}

/// By name, and by id where names are equal.
pub(crate) fn sort(invocations: &mut [Invocation]) {
    invocations.sort_by(|one, other| (&one.name, one.node()).cmp(&(&other.name, other.node())));
}

/// A command and its invocations for scripts, with the public API's member names.
pub(crate) fn json(command: &Command, invocations: &[Invocation]) -> Value {
    let each = invocations.iter().map(|invocation| {
        let mut value = shape::json("muster.runcommand.v1.GetCommandInvocationResult", &invocation.result);
        value["InstanceName"] = Value::from(invocation.name.as_str());
        value
    });
    json!({
        "Command": shape::json("muster.runcommand.v1.Command", command),
        "Invocations": each.collect::<Vec<Value>>(),
    })
}
