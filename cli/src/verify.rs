//! `muster verify`: reads what was recorded of a command and checks it against the laws (DESIGN 5).

use std::collections::HashMap;
use std::fmt::Write as _;

use muster_fan_out::domain::verify::{self, Law, Ordered, Seen, Verdict};
use muster_fan_out::{domain::history::Page, read_history_page};
use muster_model::{TargetOutcome, Timestamp};
use muster_proto::fanout::v1::fan_out_client::FanOutClient;
use muster_proto::fanout::v1::{GetHistoryRequest, GetRolloutRequest};
use muster_proto::runcommand::v1::{Command, CommandInvocation, ListCommandInvocationsRequest};

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::server::{Server, ServerArguments};
use crate::{invocation, print, report};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The command's id.
    #[arg(value_name = "ID")]
    command: String,
}

/// What was recorded of a command.
struct Recorded {
    ordered: Ordered,
    pages: Vec<Page>,
    /// The nodes by position.
    nodes: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    let server = server.connect().await?;
    let id = &arguments.command;
    // What users see first: whatever they were told by now must be in the history that is read afterwards.
    let command = invocation::command(&server, id).await?;
    let invocations = invocations(&server, id).await?;
    if command.target_count() == 0 {
        print::data(&format!("command {id} had no targets: nothing was sent\n"))?;
        return Ok(if invocations.is_empty() {
            Exit::Success
        } else {
            Exit::Failed
        });
    }
    if invocations.is_empty() && report::has_ended(&command) {
        let details = report::details(&command);
        print::data(&format!(
            "command {id} was over before it began ({details}): nothing was sent\n"
        ))?;
        return Ok(Exit::Success);
    }
    let recorded = recorded(&server, id).await?;
    let is_final = report::has_ended(&command);
    let seen = is_final.then(|| seen(&command, &invocations, &recorded.nodes));
    let verdict = verify::check(&recorded.ordered, &recorded.pages, seen.as_ref(), now());
    print::data(&described(&command, &recorded.nodes, is_final, &verdict))?;
    let is_known = verdict.entries > 0;
    Ok(match verdict.violations.is_empty() && is_known {
        true => Exit::Success,
        false => Exit::Failed,
    })
}

fn now() -> Timestamp {
    use muster_model::Clock as _;
    muster_model::SystemClock.now()
}

async fn recorded(server: &Server, id: &str) -> Result<Recorded, Complaint> {
    let mut client = FanOutClient::new(server.channel.clone());
    let rollout = client
        .get_rollout(GetRolloutRequest {
            rollout_id: id.to_owned(),
        })
        .await
        .map_err(|status| Complaint::answered("FanOut.GetRollout", status))?
        .into_inner();
    let nodes = rollout.targets.into_iter().map(|target| target.node_id).collect();
    let mut pages = Vec::new();
    let mut after = 0;
    loop {
        let answer = client
            .get_history(GetHistoryRequest {
                rollout_id: id.to_owned(),
                after,
            })
            .await
            .map_err(|status| Complaint::answered("FanOut.GetHistory", status))?
            .into_inner();
        after = answer.pages.last().map_or(after, |page| page.sequence);
        for page in &answer.pages {
            pages.push(read_history_page(page).ok_or_else(|| Complaint::Usage {
                what: format!("page {} of the history is not understood", page.sequence),
                hint: "use a muster of the server's version".to_owned(),
            })?);
        }
        if !answer.has_more {
            let deadline = answer.deadline.unwrap_or_default();
            return Ok(Recorded {
                ordered: Ordered {
                    targets: answer.targets,
                    concurrency: answer.concurrency,
                    errors_allowed: answer.errors_allowed,
                    deadline: Timestamp::new(deadline.seconds, deadline.nanos).unwrap_or(Timestamp::MAX),
                },
                pages,
                nodes,
            });
        }
    }
}

async fn invocations(server: &Server, id: &str) -> Result<Vec<CommandInvocation>, Complaint> {
    let mut request = ListCommandInvocationsRequest {
        command_id: Some(id.to_owned()),
        max_results: Some(50),
        ..ListCommandInvocationsRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let answer = server.commands().list_command_invocations(request.clone()).await;
        let page = answer
            .map_err(|status| Complaint::answered("RunCommand.ListCommandInvocations", status))?
            .into_inner();
        all.extend(page.command_invocations);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(all);
        }
    }
}

fn seen(command: &Command, invocations: &[CommandInvocation], nodes: &[String]) -> Seen {
    let by_node: HashMap<&str, &str> = invocations
        .iter()
        .map(|each| (each.instance_id(), each.status_details()))
        .collect();
    let outcome = |node: &String| by_node.get(node.as_str()).and_then(|details| outcome(details));
    let count = |number: i32| u32::try_from(number).unwrap_or_default();
    Seen {
        outcomes: nodes.iter().map(outcome).collect(),
        completed: count(command.completed_count()),
        errors: count(command.error_count()),
        delivery_timed_out: count(command.delivery_timed_out_count()),
        is_final: report::has_ended(command),
        details: report::details(command).to_owned(),
    }
}

/// `StatusDetails` of an invocation that has ended; its words are the names of the outcomes.
fn outcome(details: &str) -> Option<TargetOutcome> {
    TargetOutcome::ALL
        .into_iter()
        .find(|outcome| format!("{outcome:?}") == details)
}

fn described(command: &Command, nodes: &[String], is_final: bool, verdict: &Verdict) -> String {
    let mut text = String::new();
    let status = report::details(command);
    let count = report::nodes(nodes.len());
    // Writing into memory does not fail.
    let _ = writeln!(text, "command {}: {status}, {count}", command.command_id());
    if verdict.entries == 0 {
        let _ = writeln!(text, "no history is recorded: nothing can be said");
        return text;
    }
    for law in Law::ALL {
        let word = match () {
            () if !verdict.holds(law) => "BROKEN",
            () if law == Law::Agreement && !is_final => "not yet",
            () => "holds",
        };
        let _ = writeln!(text, "law {}  {word:7}  {law}", law.number());
        for violation in verdict.violations.iter().filter(|violation| violation.law == law) {
            let whose = violation.target.map(|index| {
                let node = nodes.get(index as usize).map_or("no target", String::as_str);
                format!("{node}: ")
            });
            let _ = writeln!(text, "       {}{}", whose.unwrap_or_default(), violation.what);
        }
    }
    let _ = writeln!(text, "{} entries were checked", verdict.entries);
    if verdict.is_cut {
        let _ = writeln!(text, "the history was cut there: more happened than is kept");
    }
    text
}

#[cfg(test)]
mod tests {
    use muster_fan_out::domain::verify::Violation;

    use super::*;

    #[test]
    fn outcomes_have_the_words_of_the_invocations() {
        assert_eq!(outcome("DeliveryTimedOut"), Some(TargetOutcome::DeliveryTimedOut));
        assert_eq!(outcome("Terminated"), Some(TargetOutcome::Terminated));
        assert_eq!(outcome("InProgress"), None);
    }

    #[test]
    fn a_broken_law_names_the_node_and_what_is_wrong() {
        let command = Command {
            command_id: Some("c-1".to_owned()),
            status_details: Some("Success".to_owned()),
            ..Command::default()
        };
        let verdict = Verdict {
            violations: vec![Violation {
                law: Law::OnceOnly,
                target: Some(1),
                what: "attempt 3 follows attempt 1".to_owned(),
            }],
            entries: 9,
            is_cut: false,
        };
        let nodes = ["mi-a".to_owned(), "mi-b".to_owned()];
        let expected = "\
command c-1: Success, 2 nodes
law 1  holds    every target ends exactly once and in time
law 2  BROKEN   nothing runs twice, after the deadline, or where it does not belong
       mi-b: attempt 3 follows attempt 1
law 3  holds    max-concurrency and max-errors hold
law 5  holds    what users read together agrees
law 8  holds    silence is noticed
9 entries were checked
";
        assert_eq!(described(&command, &nodes, true, &verdict), expected);
    }
}
