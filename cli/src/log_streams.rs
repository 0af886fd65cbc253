//! `muster commands logs`: what nodes wrote, from the log streams that the command was sent with.

use std::collections::HashMap;

use muster_proto::runcommand::v1::run_command_output_client::RunCommandOutputClient;
use muster_proto::runcommand::v1::{ListLogStreamsRequest, LogStream, ReadLogStreamRequest};
use muster_wire::NatsChannel;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::server::Server;
use crate::table::Table;
use crate::{nodes, print, report};

/// Longest line that is put together from several answers.
const LINE: usize = 1024 * 1024;

type Client = RunCommandOutputClient<NatsChannel>;

/// Prints the streams: standard output to stdout, standard error to stderr. `only_names`: a table of them instead.
pub(crate) async fn run(
    command: &str,
    nodes: Vec<String>,
    only_names: bool,
    server: &Server,
) -> Result<Exit, Complaint> {
    let mut client = RunCommandOutputClient::new(server.channel.clone());
    let streams = list(&mut client, command, nodes).await?;
    if streams.is_empty() {
        print::say("the log streams are empty so far");
    } else if only_names {
        let mut table = Table::new(&["GROUP", "STREAM", "BYTES"]);
        for stream in &streams {
            table.row([
                stream.log_group.clone(),
                stream.log_stream.clone(),
                stream.bytes.to_string(),
            ]);
        }
        print::data(&table.text())?;
    } else {
        let mut names = HashMap::new();
        for stream in &streams {
            let name = name_of(&mut names, &stream.instance_id, server).await;
            copy(&mut client, command, stream, &name).await?;
        }
    }
    Ok(Exit::Success)
}

async fn list(client: &mut Client, command: &str, nodes: Vec<String>) -> Result<Vec<LogStream>, Complaint> {
    let mut request = ListLogStreamsRequest {
        command_id: Some(command.to_owned()),
        instance_ids: nodes,
        next_token: None,
    };
    let mut streams = Vec::new();
    loop {
        let answer = client.list_log_streams(request.clone()).await;
        let page = answer
            .map_err(|status| Complaint::answered("RunCommandOutput.ListLogStreams", status))?
            .into_inner();
        streams.extend(page.log_streams);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(streams);
        }
    }
}

/// What a person calls the node; its id if nobody knows.
async fn name_of(names: &mut HashMap<String, String>, node: &str, server: &Server) -> String {
    if let Some(name) = names.get(node) {
        return name.clone();
    }
    let of_node = vec![("InstanceIds".to_owned(), vec![node.to_owned()])];
    // A name is not worth an error.
    let known = nodes::describe(server, of_node).await.ok();
    let known = known.and_then(|nodes| nodes.into_iter().next());
    let name = known.map_or_else(|| node.to_owned(), |node| nodes::called(&node).to_owned());
    names.insert(node.to_owned(), name.clone());
    name
}

/// Prints one stream, each line behind the node's name.
async fn copy(client: &mut Client, command: &str, stream: &LogStream, name: &str) -> Result<(), Complaint> {
    let is_errors = stream.log_stream.ends_with("/stderr");
    let mut request = ReadLogStreamRequest {
        command_id: Some(command.to_owned()),
        log_stream: Some(stream.log_stream.clone()),
        offset: 0,
    };
    let mut rest = Vec::new();
    loop {
        let answer = client.read_log_stream(request.clone()).await;
        let data = answer
            .map_err(|status| Complaint::answered("RunCommandOutput.ReadLogStream", status))?
            .into_inner()
            .data;
        let is_end = data.is_empty();
        request.offset += data.len() as u64;
        rest.extend(data);
        let whole = match rest.iter().rposition(|byte| *byte == b'\n') {
            _ if is_end || rest.len() > LINE => rest.len(),
            Some(end) => end + 1,
            None => 0,
        };
        let lines: Vec<u8> = rest.drain(..whole).collect();
        let text = report::prefixed(name, &String::from_utf8_lossy(&lines));
        if is_errors {
            text.lines().for_each(print::say);
        } else {
            print::data(&text)?;
        }
        if is_end {
            return Ok(());
        }
    }
}
