//! `muster commands`: what was run, and how it ended.

use clap::Subcommand;
use muster_proto::Word as _;
use muster_proto::runcommand::v1::{
    CancelCommandRequest, Command, CommandFilter, CommandFilterKey, ListCommandsRequest, ListCommandsResult,
};

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::invocation::{self, Invocation};
use crate::pair::{self, Pair};
use crate::server::{Server, ServerArguments};
use crate::table::Table;
use crate::{log_streams, print, report, shape};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, clap::Args)]
struct ListArguments {
    /// How many, the newest first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only commands that match: Status=Failed, DocumentName=AWS-RunShellScript, ExecutionStage=Executing,
    /// InvokedAfter=2026-01-01T00:00:00Z; may be repeated.
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = filter)]
    filters: Vec<CommandFilter>,
    /// Only commands for this node.
    #[arg(long, value_name = "ID")]
    node: Option<String>,
    /// Print the public API's JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List commands, the newest first (the default).
    List(ListArguments),
    /// Show a command on each of its nodes.
    Show {
        /// The command's id.
        #[arg(value_name = "ID")]
        command: String,
        /// Print what the nodes wrote, each line behind the node's name.
        #[arg(long, conflicts_with = "json")]
        output: bool,
        /// Print everything as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print what a command's nodes have written and write, until it is over. Ctrl-C leaves it alone.
    #[command(after_help = Exit::HELP)]
    Follow {
        /// The command's id.
        #[arg(value_name = "ID")]
        command: String,
    },
    /// Print what a command's nodes wrote, from its log streams: whole, also after the nodes have gone. The command must
    /// have been sent with CloudWatchOutputEnabled.
    Logs {
        /// The command's id.
        #[arg(value_name = "ID")]
        command: String,
        /// Only of these nodes.
        #[arg(long = "node", value_name = "ID,…", value_delimiter = ',')]
        nodes: Vec<String>,
        /// List the streams with their groups and sizes instead.
        #[arg(long)]
        list: bool,
    },
    /// Ask to stop a command.
    Cancel {
        /// The command's id.
        #[arg(value_name = "ID")]
        command: String,
        /// Only on these nodes.
        #[arg(long, value_name = "ID,…", value_delimiter = ',')]
        instance_ids: Vec<String>,
    },
}

fn filter(text: &str) -> Result<CommandFilter, String> {
    let Pair { key, value } = pair::pair(text)?;
    let known = CommandFilterKey::from_word(&key)
        .ok_or_else(|| format!("{key} is none of {}", CommandFilterKey::WORDS.join(", ")))?;
    Ok(CommandFilter {
        key: Some(known as i32),
        value: Some(value),
    })
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    match arguments.verb.unwrap_or(Verb::List(arguments.list)) {
        Verb::List(wanted) => list(wanted, &server.connect().await?).await,
        Verb::Show { command, output, json } => show(&command, output, json, &server.connect().await?).await,
        Verb::Follow { command } => crate::run::follow(&command, server).await,
        Verb::Logs { command, nodes, list } => log_streams::run(&command, nodes, list, &server.connect().await?).await,
        Verb::Cancel { command, instance_ids } => {
            cancel(&server.connect().await?, &command, instance_ids).await?;
            Ok(Exit::Success)
        }
    }
}

async fn list(wanted: ListArguments, server: &Server) -> Result<Exit, Complaint> {
    let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    let mut request = ListCommandsRequest {
        instance_id: wanted.node,
        filters: wanted.filters,
        ..ListCommandsRequest::default()
    };
    let mut commands: Vec<Command> = Vec::new();
    while commands.len() < limit {
        let page = i32::try_from(limit - commands.len()).unwrap_or(i32::MAX).min(50);
        request.max_results = Some(page);
        let answer = server.commands().list_commands(request.clone()).await;
        let page = answer
            .map_err(|status| Complaint::answered("RunCommand.ListCommands", status))?
            .into_inner();
        commands.extend(page.commands);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    if wanted.json {
        let result = ListCommandsResult {
            commands,
            next_token: None,
        };
        let name = "muster.runcommand.v1.ListCommandsResult";
        print::data(&shape::pretty(&shape::json(name, &result)))?;
    } else if commands.is_empty() {
        print::say("no commands");
    } else {
        print::data(&table(&commands))?;
    }
    Ok(Exit::Success)
}

fn table(commands: &[Command]) -> String {
    let mut table = Table::new(&["ID", "REQUESTED", "DOCUMENT", "STATUS", "DONE", "ERRORS", "COMMENT"]);
    for command in commands {
        table.row([
            command.command_id().to_owned(),
            shape::time(command.requested_date_time.as_ref()),
            command.document_name().to_owned(),
            report::details(command).to_owned(),
            format!("{}/{}", command.completed_count(), command.target_count()),
            command.error_count().to_string(),
            command.comment().to_owned(),
        ]);
    }
    table.text()
}

async fn show(id: &str, output: bool, json: bool, server: &Server) -> Result<Exit, Complaint> {
    let command = invocation::command(server, id).await?;
    let invocations = invocation::fetch_all(server, id).await?;
    if json {
        print::data(&shape::pretty(&invocation::json(&command, &invocations)))?;
    } else if output {
        for each in &invocations {
            print::data(&report::prefixed(&each.name, each.result.standard_output_content()))?;
            let errors = report::prefixed(&each.name, each.result.standard_error_content());
            errors.lines().for_each(print::say);
        }
    } else {
        print::data(&described(&command, &invocations))?;
    }
    Ok(Exit::Success)
}

/// The command in a few lines, then its nodes.
fn described(command: &Command, invocations: &[Invocation]) -> String {
    let lines = [
        ("command", command.command_id().to_owned()),
        ("document", command.document_name().to_owned()),
        ("status", report::details(command).to_owned()),
        ("requested", shape::time(command.requested_date_time.as_ref())),
        ("expires", shape::time(command.expires_after.as_ref())),
        (
            "rate",
            format!(
                "{} at once, {} errors allowed",
                command.max_concurrency(),
                command.max_errors()
            ),
        ),
        (
            "done",
            format!(
                "{} of {}, {} with errors",
                command.completed_count(),
                command.target_count(),
                command.error_count()
            ),
        ),
        ("comment", print::harmless(command.comment())),
    ];
    let said = lines.iter().filter(|(_, text)| !text.is_empty());
    let mut text: String = said.map(|(name, text)| format!("{name:9}  {text}\n")).collect();
    if !invocations.is_empty() {
        let mut table = Table::new(&["NODE", "NAME", "STATUS", "EXIT CODE", "STARTED", "TOOK"]);
        for each in invocations {
            table.row([
                each.node().to_owned(),
                each.name.clone(),
                each.details().to_owned(),
                each.exit_code().map_or_else(String::new, |code| code.to_string()),
                each.result.execution_start_date_time().to_owned(),
                each.result.execution_elapsed_time().to_owned(),
            ]);
        }
        text.push('\n');
        text.push_str(&table.text());
    }
    let failures = report::failures(command.command_id(), invocations);
    if report::has_ended(command) && !failures.is_empty() {
        text.push('\n');
        text.push_str(&failures);
    }
    text
}

/// Asks to stop a command, on these nodes or on all.
pub(crate) async fn cancel(server: &Server, command: &str, nodes: Vec<String>) -> Result<(), Complaint> {
    let request = CancelCommandRequest {
        command_id: Some(command.to_owned()),
        instance_ids: nodes,
    };
    let answer = server.commands().cancel_command(request).await;
    answer.map_err(|status| Complaint::answered("RunCommand.CancelCommand", status))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use muster_proto::runcommand::v1::{CommandInvocationStatus, CommandStatus, GetCommandInvocationResult};

    use super::*;

    fn command() -> Command {
        Command {
            command_id: Some("0197f3c0-0000-7000-8000-000000000001".to_owned()),
            document_name: Some("AWS-RunShellScript".to_owned()),
            status: Some(CommandStatus::Failed as i32),
            status_details: Some("Incomplete".to_owned()),
            requested_date_time: Some(prost_types::Timestamp {
                seconds: 1_700_000_000,
                nanos: 0,
            }),
            max_concurrency: Some("50".to_owned()),
            max_errors: Some("0".to_owned()),
            target_count: Some(2),
            completed_count: Some(2),
            error_count: Some(1),
            ..Command::default()
        }
    }

    #[test]
    fn the_list_shows_how_far_each_command_is() {
        let expected = "\
ID                                    REQUESTED             DOCUMENT            STATUS      DONE  ERRORS  COMMENT
0197f3c0-0000-7000-8000-000000000001  2023-11-14 22:13:20Z  AWS-RunShellScript  Incomplete  2/2   1       -
";
        assert_eq!(table(&[command()]), expected);
    }

    #[test]
    fn a_command_is_shown_with_its_nodes() {
        let invocation = Invocation {
            name: "db-1".to_owned(),
            result: GetCommandInvocationResult {
                instance_id: Some("mi-0123456789abcdef0".to_owned()),
                status: Some(CommandInvocationStatus::Failed as i32),
                status_details: Some("Failed".to_owned()),
                response_code: Some(7),
                standard_error_content: Some("boom\n".to_owned()),
                ..GetCommandInvocationResult::default()
            },
        };
        let expected = "\
command    0197f3c0-0000-7000-8000-000000000001
document   AWS-RunShellScript
status     Incomplete
requested  2023-11-14 22:13:20Z
rate       50 at once, 0 errors allowed
done       2 of 2, 1 with errors

NODE                  NAME  STATUS  EXIT CODE  STARTED  TOOK
mi-0123456789abcdef0  db-1  Failed  7          -        -

db-1 (mi-0123456789abcdef0): Failed, exit code 7
    boom
";
        assert_eq!(described(&command(), &[invocation]), expected);
    }

    #[test]
    fn filters_have_the_contract_s_keys() {
        assert_eq!(
            filter("Status=Failed").unwrap().key,
            Some(CommandFilterKey::Status as i32)
        );
        assert!(filter("Colour=red").unwrap_err().contains("InvokedAfter"));
        assert!(filter("Status").is_err());
    }
}
