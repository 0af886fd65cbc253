//! What became of a command, as text. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use muster_proto::Word as _;
use muster_proto::runcommand::v1::{Command, CommandStatus};

use crate::exit::Exit;
use crate::invocation::Invocation;
use crate::print::harmless;

/// Failures that are shown one by one.
const SHOWN: usize = 20;
/// How invocations end that never did any harm.
const SPARED: [&str; 2] = ["Terminated", "Cancelled"];
/// Lines of a failed script's error output in the summary.
const LAST_LINES: usize = 3;

/// Lines of a node's output, each behind the node's name.
pub(crate) fn prefixed(name: &str, output: &str) -> String {
    let name = harmless(name);
    let lines = output.lines().map(|line| format!("[{name}] {}\n", harmless(line)));
    lines.collect()
}

/// The invocations that went wrong: node, what happened, exit code, the end of the error output.
///
/// Nodes that were spared are only counted in the summary: a thousand of them would hide the one that failed.
pub(crate) fn failures(command: &str, invocations: &[Invocation]) -> String {
    let went_wrong = |each: &&Invocation| !each.succeeded() && !SPARED.contains(&each.details());
    let failed: Vec<&Invocation> = invocations.iter().filter(went_wrong).collect();
    let mut text = String::new();
    for invocation in failed.iter().take(SHOWN) {
        text.push_str(&failure(invocation));
    }
    if failed.len() > SHOWN {
        let more = failed.len() - SHOWN;
        // Writing into memory does not fail.
        let _ = writeln!(text, "… and {more} more: muster commands show {command}");
    }
    text
}

fn failure(invocation: &Invocation) -> String {
    let (name, node) = (harmless(&invocation.name), invocation.node());
    let mut text = match name == node {
        true => name,
        false => format!("{name} ({node})"),
    };
    let _ = write!(text, ": {}{}", invocation.details(), explained(invocation.details()));
    if let Some(code) = invocation.exit_code() {
        let _ = write!(text, ", exit code {code}");
    }
    text.push('\n');
    let errors: Vec<&str> = invocation.result.standard_error_content().lines().collect();
    for line in &errors[errors.len().saturating_sub(LAST_LINES)..] {
        let _ = writeln!(text, "    {}", harmless(line));
    }
    text
}

/// One line: how many ended how.
pub(crate) fn summary(invocations: &[Invocation]) -> String {
    let succeeded = invocations.iter().filter(|each| each.succeeded()).count();
    let mut text = format!("{succeeded} of {} succeeded", nodes(invocations.len()));
    let mut others: BTreeMap<&str, usize> = BTreeMap::new();
    for invocation in invocations.iter().filter(|each| !each.succeeded()) {
        *others.entry(invocation.details()).or_default() += 1;
    }
    for (details, count) in others {
        let _ = write!(text, ", {count} {details}{}", explained(details));
    }
    text
}

/// What a word means that does not say it by itself.
pub(crate) fn explained(details: &str) -> &'static str {
    match details {
        "Terminated" => " (not sent, because too many others failed)",
        "DeliveryTimedOut" => " (no result came in time)",
        "ExecutionTimedOut" => " (the script ran too long)",
        "Undeliverable" => " (there is no such node any more)",
        "LimitExceeded" => " (too many invocations are pending, of all commands together)",
        "InvalidPlatform" => " (the document is not for this platform)",
        _ => "",
    }
}

/// "1 node", "2 nodes".
pub(crate) fn nodes(count: usize) -> String {
    match count {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    }
}

/// The finest word for where a command stands.
pub(crate) fn details(command: &Command) -> &str {
    match command.status_details() {
        "" => command.status().word(),
        details => details,
    }
}

/// Whether nothing will change any more.
pub(crate) fn has_ended(command: &Command) -> bool {
    !matches!(
        command.status(),
        CommandStatus::Unset | CommandStatus::Pending | CommandStatus::InProgress | CommandStatus::Cancelling
    )
}

/// What the exit code says about a command that has ended.
pub(crate) fn exit(command: &Command, invocations: &[Invocation]) -> Exit {
    match command.status() {
        _ if command.status_details() == "NoInstancesInTag" => Exit::NoMatch,
        CommandStatus::Cancelled | CommandStatus::TimedOut => Exit::Unfinished,
        CommandStatus::Success if invocations.iter().all(Invocation::succeeded) => Exit::Success,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::runcommand::v1::{CommandInvocationStatus, GetCommandInvocationResult};

    use super::*;

    fn invocation(name: &str, details: &str, code: i32, stderr: &str) -> Invocation {
        let status = CommandInvocationStatus::from_word(details).unwrap_or(CommandInvocationStatus::Cancelled);
        Invocation {
            name: name.to_owned(),
            result: GetCommandInvocationResult {
                instance_id: Some(format!("mi-{name}")),
                status: Some(status as i32),
                status_details: Some(details.to_owned()),
                response_code: Some(code),
                standard_error_content: Some(stderr.to_owned()),
                ..GetCommandInvocationResult::default()
            },
        }
    }

    fn command(status: CommandStatus, details: &str) -> Command {
        Command {
            status: Some(status as i32),
            status_details: Some(details.to_owned()),
            ..Command::default()
        }
    }

    #[test]
    fn every_line_says_whose_it_is() {
        assert_eq!(prefixed("web-1", "one\ntwo"), "[web-1] one\n[web-1] two\n");
        assert_eq!(prefixed("web-1", ""), "");
        assert_eq!(prefixed("web-1", "\u{1b}[2J\n"), "[web-1] \u{241b}[2J\n");
    }

    #[test]
    fn failures_have_their_code_and_the_end_of_their_errors() {
        let all = [
            invocation("web-1", "Success", 0, ""),
            invocation("web-2", "Failed", 7, "a\nb\nc\nfailed to run commands: exit status 7\n"),
            invocation("web-3", "Terminated", -1, ""),
            invocation("web-4", "DeliveryTimedOut", -1, ""),
        ];
        let expected = "\
web-2 (mi-web-2): Failed, exit code 7
    b
    c
    failed to run commands: exit status 7
web-4 (mi-web-4): DeliveryTimedOut (no result came in time)
";
        assert_eq!(failures("c", &all), expected);
        assert_eq!(
            summary(&all),
            "1 of 4 nodes succeeded, 1 DeliveryTimedOut (no result came in time), 1 Failed, \
             1 Terminated (not sent, because too many others failed)"
        );
    }

    #[test]
    fn many_failures_are_cut_and_counted() {
        let all: Vec<Invocation> = (0..25)
            .map(|number| invocation(&number.to_string(), "Failed", 1, ""))
            .collect();
        let text = failures("c-1", &all);
        assert_eq!(text.lines().count(), 21);
        assert!(text.ends_with("… and 5 more: muster commands show c-1\n"), "{text}");
    }

    #[test]
    fn the_exit_code_is_what_the_help_says() {
        let fine = [invocation("a", "Success", 0, "")];
        let half = [invocation("a", "Success", 0, ""), invocation("b", "Failed", 1, "")];
        let check = |status, details: &str, invocations: &[Invocation], expected: Exit| {
            assert_eq!(exit(&command(status, details), invocations), expected, "{details}");
        };
        check(CommandStatus::Success, "Success", &fine, Exit::Success);
        check(CommandStatus::Success, "Success", &half, Exit::Failed);
        check(CommandStatus::Failed, "Incomplete", &half, Exit::Failed);
        check(CommandStatus::Success, "NoInstancesInTag", &[], Exit::NoMatch);
        check(CommandStatus::Cancelled, "Cancelled", &half, Exit::Unfinished);
        check(CommandStatus::TimedOut, "DeliveryTimedOut", &half, Exit::Unfinished);
        check(CommandStatus::TimedOut, "ExecutionTimedOut", &half, Exit::Unfinished);
    }
}
