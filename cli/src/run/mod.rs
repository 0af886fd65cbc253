//! `muster run`: one command on many nodes, and what became of it.
//!
//! - `request`: from the command line to the request; pure.
//! - `follow`: waits for the end and shows every node as it ends.
//! - `live`: what nodes write, while they write it.
//! - `news`: what the server tells while the command runs; only a doorbell, the truth is asked for.
//! - `progress`: a bar on a terminal, lines elsewhere.

mod follow;
mod live;
mod news;
mod progress;
mod request;

use muster_model::{MaxConcurrency, MaxErrors};
use muster_proto::runcommand::v1::Command;
use tokio::time::Instant;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::pair::{self, Choice, Parameter};
use crate::server::{Server, ServerArguments};
use crate::{invocation, print, report, shape};

use follow::{Follower, Outcome};

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("nodes").required(true).args(["targets", "instance_ids"])))]
pub(crate) struct Arguments {
    /// Nodes by tag: tag:Role=web or tag:Role=web,db; '*' is every node. May be repeated: all must hold.
    #[arg(long, value_name = "KEY=VALUE[,VALUE…]", value_parser = pair::target)]
    targets: Vec<Choice>,
    /// Nodes by id.
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    instance_ids: Vec<String>,
    /// The document to run; the words after `--` become its parameter `commands`.
    #[arg(long, value_name = "NAME", default_value = request::SHELL)]
    document: String,
    /// The document's version: a number, $DEFAULT or $LATEST.
    #[arg(long, value_name = "VERSION")]
    document_version: Option<String>,
    /// A parameter of the document: NAME=VALUE or NAME=["FIRST","SECOND"]; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair::parameter)]
    parameters: Vec<Parameter>,
    /// How many nodes at a time: a number or a percentage. [default: 50]
    #[arg(long, value_name = "N|N%")]
    max_concurrency: Option<MaxConcurrency>,
    /// After how many errors nothing more is sent: a number or a percentage. [default: 0]
    #[arg(long, value_name = "N|N%")]
    max_errors: Option<MaxErrors>,
    /// Seconds to wait for a node to begin, 30 to 2592000. [default: 3600]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i32).range(30..=2_592_000))]
    timeout: Option<i32>,
    /// A note that stays with the command.
    #[arg(long)]
    comment: Option<String>,
    /// Keep what the nodes write, whole and also after they have gone; `muster commands logs` prints it.
    #[arg(long)]
    log_streams: bool,
    /// Print what the nodes write while they write it, line by line, instead of each node's output at its end.
    #[arg(long, conflicts_with = "json")]
    follow: bool,
    /// Print the command and all its invocations as one JSON object at the end, instead of the nodes' output.
    #[arg(long)]
    json: bool,
    /// What to run. One word is a line for the shell; several words reach the nodes as they are, quoted where needed.
    #[arg(last = true, required_unless_present_any = ["document", "parameters"], value_name = "COMMAND")]
    words: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    let is_json = arguments.json;
    let is_live = arguments.follow;
    let nodes = request::nodes_in_words(&arguments);
    let request = request::build(arguments)?;
    let server = server.connect().await?;
    // Before the command exists, so that no news of it is missed.
    let news = news::News::subscribe(&server).await?;
    let started = Instant::now();
    let answer = server.commands().send_command(request).await;
    let command = answer
        .map_err(|status| Complaint::answered("RunCommand.SendCommand", status))?
        .into_inner()
        .command
        .unwrap_or_default();
    announce(&command, &nodes);
    let mut follower = Follower::new(&server, news, &command, !is_json && !is_live);
    if is_live {
        follower.listen().await?;
    }
    match follower.follow().await? {
        Outcome::Left => {
            let id = command.command_id();
            print::say(&format!("command {id} goes on without you: muster commands show {id}"));
            Ok(Exit::Unfinished)
        }
        Outcome::Ended(command) => {
            let invocations = follower.into_invocations();
            if is_json {
                print::data(&shape::pretty(&invocation::json(&command, &invocations)))?;
            }
            conclude(&command, &invocations, started);
            Ok(report::exit(&command, &invocations))
        }
    }
}

/// `muster commands follow`: a command that somebody sent, as `muster run --follow` shows it. Ctrl-C only leaves.
pub(crate) async fn follow(id: &str, server: &ServerArguments) -> Result<Exit, Complaint> {
    let server = server.connect().await?;
    let news = news::News::subscribe(&server).await?;
    let started = Instant::now();
    let command = invocation::command(&server, id).await?;
    let mut follower = Follower::new(&server, news, &command, false).only_watching();
    follower.listen().await?;
    match follower.follow().await? {
        Outcome::Left => Ok(Exit::Unfinished),
        Outcome::Ended(command) => {
            let invocations = follower.into_invocations();
            conclude(&command, &invocations, started);
            Ok(report::exit(&command, &invocations))
        }
    }
}

/// The number of nodes first: who meant three and sees three thousand can still stop it.
fn announce(command: &Command, nodes: &str) {
    let (id, document) = (command.command_id(), command.document_name());
    match usize::try_from(command.target_count()).unwrap_or(0) {
        0 => print::say(&format!(
            "warning: no node matches {nodes}; `muster nodes` lists who is there"
        )),
        1 => print::say(&format!("1 node: {document}, command {id}")),
        count => print::say(&format!("{count} nodes: {document}, command {id}")),
    }
}

fn conclude(command: &Command, invocations: &[invocation::Invocation], started: Instant) {
    if invocations.is_empty() {
        if command.target_count() > 0 {
            let details = report::details(command);
            print::say(&format!("no node got it: {details}{}", report::explained(details)));
        }
        return;
    }
    for line in report::failures(command.command_id(), invocations).lines() {
        print::say(line);
    }
    let seconds = started.elapsed().as_secs_f64();
    let mut line = format!("{} in {seconds:.1} s", report::summary(invocations));
    if report::exit(command, invocations) != Exit::Success {
        line.push_str(&format!("; the command is {}", report::details(command)));
    }
    print::say(&line);
}

/// For messages after the connection was made.
async fn cancel(server: &Server, command: &str) -> Result<(), Complaint> {
    crate::commands::cancel(server, command, Vec::new()).await
}
