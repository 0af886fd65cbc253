//! The same operations over each surface, by clients that nobody here wrote.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::stack::Stack;
use crate::python::Judges;
use crate::{process, workspace};

/// A way to reach Muster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// A request with JSON, by nats-py.
    Nats,
    /// gRPC by a client that knows only what reflection tells it.
    Grpc,
    /// AWS JSON 1.1 by the AWS command line.
    Aws,
}

impl Surface {
    pub(crate) const ALL: [Self; 3] = [Self::Nats, Self::Grpc, Self::Aws];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nats => "NATS",
            Self::Grpc => "gRPC",
            Self::Aws => "AWS JSON",
        }
    }

    /// Calls an operation of Run Command; the question is in the form of the AWS API.
    pub(crate) fn run_command(
        self,
        operation: &str,
        question: &Value,
        stack: &Stack,
        judges: &Judges,
    ) -> Result<Value> {
        let ask = workspace::root().join("xtask/judges/ask.py");
        let mut command = match self {
            Self::Nats => {
                let mut command = Command::new(&judges.python);
                command
                    .arg(ask)
                    .arg("nats")
                    .arg(format!("nats://{}", stack.address("MUSTER_NATS_PORT")))
                    .arg(format!("muster.v1.api.RunCommand.{operation}"))
                    .arg(in_protobuf_form(question).to_string());
                command
            }
            Self::Grpc => {
                let mut command = Command::new(&judges.python);
                command
                    .arg(ask)
                    .arg("grpc")
                    .arg(stack.address("MUSTER_RUN_COMMAND_PORT"))
                    .arg(format!("muster.runcommand.v1.RunCommand/{operation}"))
                    .arg(in_protobuf_form(question).to_string());
                command
            }
            Self::Aws => aws(&verb(operation), question, stack, judges),
        };
        let answer = process::output(&mut command)?;
        // The AWS command line prints nothing at all for an empty answer.
        if answer.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer).with_context(|| format!("the answer to {operation} is not JSON: {answer}"))
    }
}

/// `aws ssm <verb>` with any region and any keys: on loopback nobody asks for more.
pub(crate) fn aws(verb: &str, question: &Value, stack: &Stack, judges: &Judges) -> Command {
    let mut command = Command::new(&judges.aws);
    command
        .args(["ssm", verb, "--output", "json", "--endpoint-url"])
        .arg(format!("http://{}", stack.address("MUSTER_GATEWAY_PORT")))
        .arg("--cli-input-json")
        .arg(question.to_string())
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "anything")
        .env("AWS_SECRET_ACCESS_KEY", "anything");
    command
}

/// `SendCommand` is `send-command` at the terminal.
fn verb(operation: &str) -> String {
    let mut verb = String::new();
    for (index, letter) in operation.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            verb.push('-');
        }
        verb.push(letter.to_ascii_lowercase());
    }
    verb
}

/// Protobuf's JSON puts a list that is the value of a map into a message of its own.
fn in_protobuf_form(question: &Value) -> Value {
    let mut question = question.clone();
    if let Some(parameters) = question.get_mut("Parameters").and_then(Value::as_object_mut) {
        for value in parameters.values_mut() {
            *value = serde_json::json!({ "items": value.take() });
        }
    }
    question
}

/// What an invocation came to, as all surfaces spell it.
pub(crate) fn ended(invocation: &Value) -> Result<Option<&str>> {
    let Some(details) = invocation.get("StatusDetails").and_then(Value::as_str) else {
        bail!("an invocation has no StatusDetails: {invocation}");
    };
    let open = ["Pending", "InProgress", "Delayed", "Cancelling"];
    Ok((!open.contains(&details)).then_some(details))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_spelt_as_at_the_terminal() {
        assert_eq!(verb("ListCommandInvocations"), "list-command-invocations");
    }

    #[test]
    fn parameters_take_the_form_of_protobuf() {
        let question = serde_json::json!({ "Comment": "c", "Parameters": { "commands": ["a", "b"] } });
        let expected = serde_json::json!({ "Comment": "c", "Parameters": { "commands": { "items": ["a", "b"] } } });
        assert_eq!(in_protobuf_form(&question), expected);
    }
}
