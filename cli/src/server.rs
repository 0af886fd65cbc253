//! Finding the server and talking to it.

use std::path::PathBuf;

use async_nats::Client;
use muster_boot::NatsSettings;
use muster_proto::access::v1::access_client::AccessClient;
use muster_proto::access::v1::audit_client::AuditClient;
use muster_proto::documents::v1::document_validation_client::DocumentValidationClient;
use muster_proto::documents::v1::documents_client::DocumentsClient;
use muster_proto::fleet::v1::fleet_client::FleetClient;
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_proto::fleet::v1::tags_client::TagsClient;
use muster_proto::parameterstore::v1::parameter_store_client::ParameterStoreClient;
use muster_proto::runcommand::v1::run_command_client::RunCommandClient;
use muster_wire::NatsChannel;

use crate::complaint::Complaint;
use crate::place;
use crate::ready::Ready;

/// Which server is meant.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArguments {
    /// The server's bus; without it, the `muster up` of the default data directory.
    #[arg(long, global = true, env = "MUSTER_SERVER", value_name = "tls://HOST:PORT")]
    server: Option<String>,
    /// The .creds file with which to ask; without it, that of the `muster up` whose server is used.
    #[arg(long, global = true, env = "MUSTER_CREDS", value_name = "FILE")]
    creds: Option<PathBuf>,
    /// The authority of the server's certificate (PEM); the connection is encrypted then.
    #[arg(long, global = true, env = "MUSTER_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Connect without encryption although the server is elsewhere: the network is private in itself.
    #[arg(long, global = true, env = "MUSTER_INSECURE")]
    insecure: bool,
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
        let settings = self.bus()?;
        let nats = muster_boot::connect_now("muster", &settings)
            .await
            .map_err(|source| Complaint::unreachable(settings, source))?;
        Ok(Server {
            channel: NatsChannel::new(nats.clone()),
            nats,
        })
    }

    /// Whether the caller wants no encryption where there is none.
    pub(crate) fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// The address, if the caller named one.
    pub(crate) fn named(&self) -> Option<&str> {
        self.server.as_deref().filter(|server| !server.is_empty())
    }

    /// The server's bus, and with what to connect.
    pub(crate) fn bus(&self) -> Result<NatsSettings, Complaint> {
        self.settings(place::default_data_dir())
    }

    fn settings(&self, data_dir: PathBuf) -> Result<NatsSettings, Complaint> {
        let mut settings = NatsSettings::open("");
        match self.named() {
            Some(server) => server.clone_into(&mut settings.url),
            None => {
                let path = Ready::file_in(&data_dir);
                let ready = Ready::read(&path).map_err(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => Complaint::NoServer { looked_at: path },
                    _ => Complaint::Ready { path, source: error },
                })?;
                settings.url = ready.nats;
                settings.credentials = ready.creds;
            }
        }
        if let Some(creds) = &self.creds {
            settings.credentials.clone_from(creds);
        }
        if let Some(ca) = &self.ca {
            settings.ca.clone_from(ca);
        }
        settings.insecure = self.insecure;
        Ok(settings)
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

    pub(crate) fn parameters(&self) -> ParameterStoreClient<NatsChannel> {
        ParameterStoreClient::new(self.channel.clone())
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

    pub(crate) fn nodes(&self) -> NodesClient<NatsChannel> {
        NodesClient::new(self.channel.clone())
    }

    pub(crate) fn tags(&self) -> TagsClient<NatsChannel> {
        TagsClient::new(self.channel.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn settings(
        server: Option<&str>,
        creds: Option<&str>,
        ready: Option<&str>,
    ) -> Result<(String, PathBuf), Complaint> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = ready {
            let mut file = std::fs::File::create(Ready::file_in(folder.path())).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        let arguments = ServerArguments {
            server: server.map(str::to_owned),
            creds: creds.map(PathBuf::from),
            ca: None,
            insecure: false,
        };
        let settings = arguments.settings(folder.path().to_owned())?;
        Ok((settings.url, settings.credentials))
    }

    const READY: &str = r#"{"gateway":"g","nats":"nats://127.0.0.1:1","grpc":{},"data_dir":"d","nodes":[],
        "credentials":{"access_key_id":"a","secret_access_key":"s"},"creds":"own.creds"}"#;

    #[test]
    fn a_named_server_outweighs_a_running_one() {
        let check = |server, creds, url: &str, file: &str| {
            let found = settings(server, creds, Some(READY)).unwrap();
            assert_eq!(found, (url.to_owned(), PathBuf::from(file)));
        };
        check(Some("nats://bus:4222"), None, "nats://bus:4222", "");
        check(
            Some("nats://bus:4222"),
            Some("mine.creds"),
            "nats://bus:4222",
            "mine.creds",
        );
        check(None, None, "nats://127.0.0.1:1", "own.creds");
        check(Some(""), None, "nats://127.0.0.1:1", "own.creds");
        check(None, Some("mine.creds"), "nats://127.0.0.1:1", "mine.creds");
    }

    #[test]
    fn without_a_server_the_place_that_was_looked_at_is_named() {
        assert!(matches!(settings(None, None, None), Err(Complaint::NoServer { .. })));
        assert!(matches!(settings(None, None, Some("{")), Err(Complaint::Ready { .. })));
    }
}
