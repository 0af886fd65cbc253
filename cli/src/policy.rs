//! `muster policy`: what would be decided, and whether a text is a policy.

use std::io::Read as _;

use clap::Subcommand;
use muster_policy::Policy;
use muster_proto::Word as _;
use muster_proto::access::v1::{ContextEntry, Decision, TestPolicyRequest, TestPolicyResult};

use crate::access::answer;
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::pair::{self, Pair};
use crate::print;
use crate::server::ServerArguments;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what would be decided, by which statements.
    Test(TestArguments),
    /// Say whether a file is a policy; needs no server.
    Check {
        /// The text; `-` reads the standard input.
        file: String,
    },
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 allowed; 3 denied; 1 refused or no answer; 2 and 5 as everywhere.")]
struct TestArguments {
    /// Who: an ARN, user/NAME or role/NAME.
    #[arg(long)]
    principal: String,
    /// What: ssm:SendCommand.
    #[arg(long)]
    action: String,
    /// To what: an ARN; without it `*`, for operations that are about no resource.
    #[arg(long)]
    resource: Option<String>,
    /// What is known of the request: aws:SourceIp=10.0.0.1, ssm:resourceTag/Env=dev; may be repeated.
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = pair::pair)]
    context: Vec<Pair>,
    /// Ask this file instead of what the principal has; `-` reads the standard input.
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    match arguments.verb {
        Verb::Test(arguments) => test(arguments, server).await,
        Verb::Check { file } => check(&file),
    }
}

async fn test(arguments: TestArguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    let policy_document = match arguments.policy {
        Some(file) => Some(read(&file)?),
        None => None,
    };
    let entries = arguments.context.into_iter().map(|pair| ContextEntry {
        key: Some(pair.key),
        value: Some(pair.value),
    });
    let request = TestPolicyRequest {
        principal: Some(arguments.principal),
        action: Some(arguments.action),
        resource: arguments.resource,
        context: entries.collect(),
        policy_document,
    };
    let tested = server.connect().await?.access().test_policy(request).await;
    let result = answer("Access.TestPolicy", tested)?;
    print::data(&told(&result))?;
    Ok(match result.decision() {
        Decision::Allow => Exit::Success,
        _ => Exit::NoMatch,
    })
}

/// The decision, the statements that made it so, and why.
fn told(result: &TestPolicyResult) -> String {
    let mut text = format!("{}\n", result.decision().word());
    for statement in &result.statements {
        text.push_str(&format!("  {}\n", print::harmless(statement)));
    }
    if result.statements.is_empty() {
        let asked = match result.policy_names.is_empty() {
            true => "it has no policies".to_owned(),
            false => format!("no statement of {} allows it", result.policy_names.join(", ")),
        };
        text.push_str(&format!("  {}\n", print::harmless(&asked)));
    }
    if let Some(message) = &result.message {
        text.push_str(&format!("{}\n", print::harmless(message)));
    }
    text
}

fn check(file: &str) -> Result<Exit, Complaint> {
    match Policy::parse(&read(file)?) {
        Ok(policy) => {
            let statements = policy.statements();
            let noun = if statements == 1 { "statement" } else { "statements" };
            print::say(&format!("{file} is a policy of {statements} {noun}"));
            Ok(Exit::Success)
        }
        Err(error) => {
            print::say(&format!(
                "MalformedPolicyDocument: {}",
                print::harmless(&error.to_string())
            ));
            Ok(Exit::Failed)
        }
    }
}

/// The text of a file, or of the standard input.
pub(crate) fn read(file: &str) -> Result<String, Complaint> {
    let (path, text) = match file {
        "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            ("the standard input", read.map(|_| text))
        }
        file => (file, std::fs::read_to_string(file)),
    };
    text.map_err(|source| Complaint::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_told_with_its_reasons() {
        let allowed = TestPolicyResult {
            decision: Some(Decision::Allow.into()),
            statements: vec!["operator/RunCommands".to_owned()],
            ..TestPolicyResult::default()
        };
        assert_eq!(told(&allowed), "Allow\n  operator/RunCommands\n");
        let denied = TestPolicyResult {
            decision: Some(Decision::ImplicitDeny.into()),
            message: Some("User: x is not authorized".to_owned()),
            policy_names: vec!["a".to_owned(), "b".to_owned()],
            ..TestPolicyResult::default()
        };
        let expected = "ImplicitDeny\n  no statement of a, b allows it\nUser: x is not authorized\n";
        assert_eq!(told(&denied), expected);
    }
}
