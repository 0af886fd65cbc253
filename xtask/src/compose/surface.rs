//! One command over each surface, by clients that nobody here wrote.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::stack::Stack;
use crate::python::Judges;
use crate::{process, workspace};

const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// A way to reach Muster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// Requests with JSON, by nats-py.
    Nats,
    /// gRPC, by a client that knows only what reflection tells it.
    Grpc,
    /// AWS JSON 1.1, by the AWS command line.
    Aws,
}

/// What became of a command.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Outcome {
    /// The status of the command.
    pub(crate) status: String,
    /// What the script said on one of the nodes.
    pub(crate) output: String,
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

    /// Runs a line of shell on all nodes with the tag and waits for its end.
    pub(crate) fn run(self, tag: (&str, &str), line: &str, stack: &Stack, judges: &Judges) -> Result<Outcome> {
        let (script, address) = match self {
            Self::Nats => (
                "nats_client.py",
                vec![
                    format!("nats://{}", stack.address("MUSTER_NATS_PORT")),
                    operator(stack)?.display().to_string(),
                ],
            ),
            Self::Grpc => ("reflection_client.py", vec![stack.address("MUSTER_RUN_COMMAND_PORT")]),
            Self::Aws => return by_aws(tag, line, stack, judges),
        };
        let answer = process::output(
            Command::new(&judges.python)
                .arg(workspace::root().join("tests/scripts").join(script))
                .args(address)
                .args([&format!("tag:{}", tag.0), tag.1, line]),
        )?;
        serde_json::from_str(&answer).with_context(|| format!("{script} answered {answer}"))
    }
}

/// A file with the operator's credentials, for this user only.
fn operator(stack: &Stack) -> Result<PathBuf> {
    let path = workspace::own("operator.creds");
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(&path)?;
    file.write_all(stack.operator()?.as_bytes())?;
    Ok(path)
}

fn by_aws(tag: (&str, &str), line: &str, stack: &Stack, judges: &Judges) -> Result<Outcome> {
    let parameters = json!({ "commands": [line] }).to_string();
    let targets = format!("Key=tag:{},Values={}", tag.0, tag.1);
    let sent = aws(
        &[
            "send-command",
            "--document-name",
            "AWS-RunShellScript",
            "--targets",
            &targets,
        ]
        .into_iter()
        .chain([
            "--parameters",
            &parameters,
            "--max-concurrency",
            "10",
            "--max-errors",
            "10",
        ])
        .collect::<Vec<_>>(),
        stack,
        judges,
    )?;
    let id = sent["Command"]["CommandId"]
        .as_str()
        .context("send-command gave no CommandId")?;
    let status = process::until(COMMAND_WITHIN, "the command has ended", || {
        let listed = aws(&["list-commands", "--command-id", id], stack, judges)?;
        match listed["Commands"][0]["Status"].as_str() {
            Some("Pending" | "InProgress") | None => bail!("list-commands says {listed}"),
            Some(status) => Ok(status.to_owned()),
        }
    })?;
    let listed = aws(
        &["list-command-invocations", "--command-id", id, "--details"],
        stack,
        judges,
    )?;
    let output = listed["CommandInvocations"][0]["CommandPlugins"][0]["Output"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Ok(Outcome { status, output })
}

/// `aws ssm …` with any region and any keys: requests are not authenticated yet.
pub(crate) fn aws(words: &[&str], stack: &Stack, judges: &Judges) -> Result<Value> {
    let answer = process::output(
        Command::new(&judges.aws)
            .arg("ssm")
            .args(words)
            .args(["--output", "json", "--endpoint-url"])
            .arg(format!("http://{}", stack.address("MUSTER_GATEWAY_PORT")))
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "anything")
            .env("AWS_SECRET_ACCESS_KEY", "anything")
            .env("AWS_EC2_METADATA_DISABLED", "true"),
    )?;
    ensure!(!answer.trim().is_empty(), "aws ssm {} answered nothing", words[0]);
    serde_json::from_str(&answer).with_context(|| format!("aws ssm {} answered {answer}", words[0]))
}
