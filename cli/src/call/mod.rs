//! `muster call Service.Method '{…}'`: any operation of the contract, AWS-shaped JSON in and out.
//!
//! Found by reflection, as the gateway finds it: a new operation adds no line here.

mod operation;

use std::io::Read as _;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use muster_wire::{CallOptions, aws_json, limits, subject};
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Status;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::server::ServerArguments;
use crate::{print, shape};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The operation, "RunCommand.ListCommands"; the method alone if only one service has it. Without it: lists all.
    operation: Option<String>,
    /// The request as JSON, with the public API's member names; `-` reads it from the standard input.
    #[arg(default_value = "{}")]
    request: String,
    /// Longest wait for the answer, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    let Some(name) = arguments.operation else {
        print::data(&operation::list())?;
        return Ok(Exit::Success);
    };
    let method = operation::find(&name)?;
    let name = operation::name(&method);
    let text = read(arguments.request)?;
    let message = request(&method, &text).map_err(|status| Complaint::answered(&name, status))?;
    let server = server.connect().await?;
    let subject = subject::api(method.parent_service().name(), method.name());
    let timeout = Duration::from_secs(arguments.wait);
    let channel = server.channel.with_options(CallOptions { timeout });
    let answer = channel
        .request(subject, HeaderMap::new(), message)
        .await
        .map_err(|status| Complaint::answered(&name, status))?;
    let answer = DynamicMessage::decode(method.output(), answer).map_err(|error| Complaint::Broken(error.into()))?;
    print::data(&shape::pretty(&shape::of_dynamic(&answer)))?;
    Ok(Exit::Success)
}

fn read(request: String) -> Result<String, Complaint> {
    if request != "-" {
        return Ok(request);
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|source| Complaint::Read {
            path: "the standard input".to_owned(),
            source,
        })?;
    Ok(text)
}

/// The request's bytes, or the refusal that the gateway would give for the same text.
fn request(method: &MethodDescriptor, text: &str) -> Result<Bytes, Status> {
    let decoded = aws_json::decode(text.as_bytes(), method.input()).map_err(|error| {
        let refusal = muster_wire::Refusal::from(error.clone());
        // On the public surface malformed JSON has no text; a person wants one.
        let message = match refusal.message.is_empty() {
            true => error.to_string(),
            false => refusal.message,
        };
        muster_wire::Refusal::new(refusal.reason, message)
    })?;
    if decoded.violations.is_empty() {
        return Ok(decoded.message.encode_to_vec().into());
    }
    let mut violations = decoded.violations;
    violations.extend(limits::check(&decoded.message));
    Err(limits::refuse(&violations).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(operation: &str, text: &str) -> String {
        let method = operation::find(operation).unwrap();
        let status = request(&method, text).unwrap_err();
        Complaint::answered(&operation::name(&method), status).line()
    }

    #[test]
    fn a_request_that_is_no_json_is_refused_here() {
        assert_eq!(
            refused("RunCommand.ListCommands", "nonsense"),
            "SerializationException: the body is no JSON object (RunCommand.ListCommands)"
        );
        let line = refused("RunCommand.ListCommands", r#"{"MaxResults": []}"#);
        assert!(line.starts_with("SerializationException: "), "{line}");
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_words_there_are() {
        let line = refused("ListCommands", r#"{"Filters":[{"key":"Nope","value":"x"}]}"#);
        assert!(line.starts_with("InvalidFilterKey: 1 validation error"), "{line}");
        assert!(line.contains("InvokedAfter"), "{line}");
    }
}
