//! What `muster up` prints when it is ready: where everything is, and what to try.

use std::fmt::Write as _;
use std::time::Duration;

use super::agents::Local;
use crate::ready::Ready;

/// Where the operator hears answers: each user below an inbox of its own.
const INBOX: &str = "_INBOX.ops.operator";

/// What the text is made of.
#[derive(Debug)]
pub(super) struct Banner<'a> {
    pub(super) ready: &'a Ready,
    pub(super) agents: &'a [Local],
    pub(super) took: Duration,
    /// How a person starts this program.
    pub(super) program: &'a str,
    /// Other verbs find this server by themselves.
    pub(super) is_found: bool,
}

impl Banner<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into memory does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Ready {
            gateway,
            nats,
            grpc,
            data_dir,
            credentials,
            creds,
            nodes: _,
        } = self.ready;
        writeln!(text, "Muster is ready after {:.2} s.\n", self.took.as_secs_f64())?;
        writeln!(text, "  AWS JSON  {gateway}")?;
        writeln!(text, "  NATS      {nats}")?;
        writeln!(text, "  creds     {}", creds.display())?;
        for (number, (service, address)) in grpc.iter().enumerate() {
            let heading = if number == 0 { "gRPC" } else { "" };
            writeln!(text, "  {heading:8}  {address}  {service}")?;
        }
        for (number, Local { name, node }) in self.agents.iter().enumerate() {
            let heading = if number == 0 { "nodes" } else { "" };
            writeln!(text, "  {heading:8}  {node}  {name}")?;
        }
        writeln!(text, "  data      {}  (logs in logs/)\n", data_dir.display())?;
        writeln!(text, "Try, in another terminal:\n")?;
        match credentials {
            Some(credentials) => {
                writeln!(text, "  export AWS_ACCESS_KEY_ID={}", credentials.access_key_id)?;
                writeln!(text, "  export AWS_SECRET_ACCESS_KEY={}", credentials.secret_access_key)?;
            }
            None => {
                writeln!(
                    text,
                    "  # Signatures count here: the access key of a user, as this makes one."
                )?;
                writeln!(text, "  {} access keys create USER", self.program)?;
                writeln!(text, "  export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…")?;
            }
        }
        writeln!(text, "  export AWS_DEFAULT_REGION=us-east-1")?;
        writeln!(text, "  aws --endpoint-url {gateway} ssm describe-instance-information")?;
        writeln!(
            text,
            "  aws --endpoint-url {gateway} ssm send-command --document-name AWS-RunShellScript \
             --targets Key=tag:ServerRole,Values=WebFrontEnd --parameters commands=uptime\n"
        )?;
        if !self.is_found {
            writeln!(text, "  export MUSTER_SERVER={nats}")?;
            writeln!(text, "  export MUSTER_CREDS={}", creds.display())?;
        }
        let program = self.program;
        writeln!(text, "  {program} nodes")?;
        writeln!(text, "  {program} run --targets tag:Role=web -- uptime")?;
        writeln!(
            text,
            "  {program} call RunCommand.ListCommands '{{\"MaxResults\": 1}}'\n"
        )?;
        writeln!(
            text,
            "  nats --server {nats} --creds {} --inbox-prefix {INBOX} request muster.v1.api.RunCommand.ListCommands '{{\"MaxResults\": 1}}' \
             --header Content-Type:application/json",
            creds.display()
        )?;
        if let Some(address) = grpc.get("RunCommand") {
            writeln!(text, "  grpcurl -plaintext {address} list")?;
            writeln!(
                text,
                "  grpcurl -plaintext -d '{{\"MaxResults\": 1}}' {address} muster.runcommand.v1.RunCommand/ListCommands"
            )?;
        }
        match credentials {
            Some(_) => writeln!(
                text,
                "\nDevelopment only: any AWS keys are taken, and only this machine is listened to. Ctrl-C stops it."
            ),
            None => writeln!(
                text,
                "\nThe gateway verifies signatures; gRPC asks nobody and listens to this machine only. Ctrl-C stops it."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ready::Credentials;

    use super::*;

    const EXPECTED: &str = include_str!("banner.txt");

    fn ready() -> Ready {
        let grpc = [("Fleet", "127.0.0.1:9001"), ("RunCommand", "127.0.0.1:9002")];
        Ready {
            gateway: "http://127.0.0.1:8686".to_owned(),
            nats: "nats://127.0.0.1:4222".to_owned(),
            grpc: grpc.map(|(name, address)| (name.to_owned(), address.to_owned())).into(),
            data_dir: "/home/mia/.local/share/muster".into(),
            nodes: vec!["mi-0123456789abcdef0".to_owned(), "mi-0123456789abcdef1".to_owned()],
            credentials: Some(Credentials::development()),
            creds: "/home/mia/.local/share/muster/trust/creds/operator.creds".into(),
        }
    }

    fn local(name: &str, number: usize) -> Local {
        Local {
            name: name.to_owned(),
            node: ready().nodes[number].clone(),
        }
    }

    #[test]
    fn everything_that_answers_is_named_with_something_to_try() {
        let banner = Banner {
            ready: &ready(),
            agents: &[local("web-1", 0), local("db-1", 1)],
            took: Duration::from_millis(213),
            program: "muster",
            is_found: true,
        };
        assert_eq!(banner.text(), EXPECTED);
    }

    #[test]
    fn where_signatures_count_no_keys_are_made_up() {
        let ready = Ready {
            credentials: None,
            gateway: "https://127.0.0.1:8686".to_owned(),
            ..ready()
        };
        let banner = Banner {
            ready: &ready,
            agents: &[],
            took: Duration::ZERO,
            program: "muster",
            is_found: true,
        };
        let text = banner.text();
        assert!(
            !text.contains("MUSTERDEVELOPMENT") && !text.contains("any AWS keys"),
            "{text}"
        );
        assert!(text.contains("muster access keys create USER\n"), "{text}");
        assert!(
            text.contains("  aws --endpoint-url https://127.0.0.1:8686 ssm"),
            "{text}"
        );
    }

    #[test]
    fn a_server_that_is_not_found_by_itself_is_named() {
        let banner = Banner {
            ready: &ready(),
            agents: &[],
            took: Duration::ZERO,
            program: "muster",
            is_found: false,
        };
        assert!(banner.text().contains("export MUSTER_SERVER=nats://127.0.0.1:4222\n"));
        assert!(banner.text().contains("operator.creds\n"));
        assert_eq!(INBOX, muster_credential::layout::person_inbox(crate::trust::OPERATOR));
    }
}
