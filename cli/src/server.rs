//! Finding the server and talking to it.

use std::path::PathBuf;

use async_nats::Client;
use muster_proto::access::v1::access_client::AccessClient;
use muster_proto::access::v1::audit_client::AuditClient;
use muster_proto::documents::v1::document_validation_client::DocumentValidationClient;
use muster_proto::documents::v1::documents_client::DocumentsClient;
use muster_proto::fleet::v1::fleet_client::FleetClient;
use muster_proto::fleet::v1::tags_client::TagsClient;
use muster_proto::runcommand::v1::run_command_client::RunCommandClient;
use muster_wire::NatsChannel;

use crate::complaint::Complaint;
use crate::place;
use crate::ready::Ready;

/// Which server is meant.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArguments {
    /// The server's bus; without it, the `muster up` of the default data directory.
    #[arg(long, global = true, env = "MUSTER_SERVER", value_name = "nats://HOST:PORT")]
    server: Option<String>,
}

/// A connection to the server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) nats: Client,
    pub(crate) channel: NatsChannel,
}

impl ServerArguments {
    /// Connects, or says why that cannot be.
    pub(crate) async fn connect(&self) -> Result<Server, Complaint> {
        let url = self.url(place::default_data_dir())?;
        let nats = muster_boot::connect_now("muster", &url)
            .await
            .map_err(|source| Complaint::Unreachable { url, source })?;
        Ok(Server {
            channel: NatsChannel::new(nats.clone()),
            nats,
        })
    }

    fn url(&self, data_dir: PathBuf) -> Result<String, Complaint> {
        if let Some(server) = self.server.as_ref().filter(|server| !server.is_empty()) {
            return Ok(server.clone());
        }
        let path = Ready::file_in(&data_dir);
        match Ready::read(&path) {
            Ok(ready) => Ok(ready.nats),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Complaint::NoServer { looked_at: path }),
            Err(source) => Err(Complaint::Ready { path, source }),
        }
    }
}

impl Server {
    pub(crate) fn commands(&self) -> RunCommandClient<NatsChannel> {
        RunCommandClient::new(self.channel.clone())
    }

    pub(crate) fn documents(&self) -> DocumentsClient<NatsChannel> {
        DocumentsClient::new(self.channel.clone())
    }

    pub(crate) fn document_validation(&self) -> DocumentValidationClient<NatsChannel> {
        DocumentValidationClient::new(self.channel.clone())
    }

    pub(crate) fn access(&self) -> AccessClient<NatsChannel> {
        AccessClient::new(self.channel.clone())
    }

    pub(crate) fn audit(&self) -> AuditClient<NatsChannel> {
        AuditClient::new(self.channel.clone())
    }

    pub(crate) fn fleet(&self) -> FleetClient<NatsChannel> {
        FleetClient::new(self.channel.clone())
    }

    pub(crate) fn tags(&self) -> TagsClient<NatsChannel> {
        TagsClient::new(self.channel.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn url(server: Option<&str>, ready: Option<&str>) -> Result<String, Complaint> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = ready {
            let mut file = std::fs::File::create(Ready::file_in(folder.path())).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        let server = server.map(str::to_owned);
        ServerArguments { server }.url(folder.path().to_owned())
    }

    const READY: &str = r#"{"gateway":"g","nats":"nats://127.0.0.1:1","grpc":{},"data_dir":"d","nodes":[],
        "credentials":{"access_key_id":"a","secret_access_key":"s"}}"#;

    #[test]
    fn a_named_server_outweighs_a_running_one() {
        assert_eq!(url(Some("nats://bus:4222"), Some(READY)).unwrap(), "nats://bus:4222");
        assert_eq!(url(None, Some(READY)).unwrap(), "nats://127.0.0.1:1");
        assert_eq!(url(Some(""), Some(READY)).unwrap(), "nats://127.0.0.1:1");
    }

    #[test]
    fn without_a_server_the_place_that_was_looked_at_is_named() {
        assert!(matches!(url(None, None), Err(Complaint::NoServer { .. })));
        assert!(matches!(url(None, Some("{")), Err(Complaint::Ready { .. })));
    }
}
