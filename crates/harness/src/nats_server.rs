//! A NATS server of a test's own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use muster_credential::{Creds, MAX_PAYLOAD};

use crate::trust::Trust;
use crate::{Folder, until_within, write_private};

/// A healthy start takes some 10 ms; a machine that runs many tests at once takes longer.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A NATS server with JetStream, on a free port of 127.0.0.1 and with a store of its own.
///
/// Dropping it kills it.
#[derive(Debug)]
pub struct NatsServer {
    folder: Folder,
    port: u16,
    process: Option<Child>,
    trust: Option<Trust>,
}

impl NatsServer {
    /// Starts one and waits until it answers. It lets everybody do everything.
    ///
    /// # Panics
    /// If no `nats-server` is at hand or it does not start.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts one in operator mode, as products run it: nobody may do anything without credentials.
    ///
    /// # Panics
    /// If no `nats-server` is at hand or it does not start.
    pub async fn start_secured() -> Self {
        Self::start_with(Some(Trust::new())).await
    }

    async fn start_with(trust: Option<Trust>) -> Self {
        let mut server = Self {
            folder: Folder::new("nats"),
            port: 0,
            process: None,
            trust,
        };
        server.launch(None).await;
        server
    }

    /// The keys of a server in operator mode.
    ///
    /// # Panics
    /// If it was started without.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        self.trust
            .as_ref()
            .expect("this NATS server was started in operator mode")
    }

    /// Writes credentials into a file beside the server's, for processes that connect.
    ///
    /// # Panics
    /// If the folder cannot be written.
    #[must_use]
    pub fn file_of(&self, creds: &Creds) -> PathBuf {
        let path = self.folder.join(format!("{}.creds", creds.name()));
        write_private(&path, &creds.to_text()).expect("the test's own folder can be written");
        path
    }

    /// A client with these credentials; it reconnects by itself. Answers come below its own inbox.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn client_as(&self, creds: &Creds) -> Result<async_nats::Client, async_nats::ConnectError> {
        let options = async_nats::ConnectOptions::with_credentials(&creds.to_text())
            .expect("credentials that were made are read")
            .custom_inbox_prefix(creds.inbox())
            .max_reconnects(None)
            .reconnect_delay_callback(|_| Duration::from_millis(20));
        // Large, and part of the future of every test.
        Box::pin(options.connect(self.url())).await
    }

    /// Its address, `nats://127.0.0.1:<port>`; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it takes connections as WebSocket, `ws://127.0.0.1:<port>`; another one after a restart. Only in operator mode.
    ///
    /// # Panics
    /// If it takes none.
    #[must_use]
    pub fn websocket_url(&self) -> String {
        let port = announced_port(&self.folder.join("ports"), "websocket");
        format!("ws://127.0.0.1:{}", port.expect("this NATS server takes WebSocket"))
    }

    /// A client; it reconnects by itself when the server was killed and started again.
    /// In operator mode it is a person's.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn client(&self) -> async_nats::Client {
        if let Some(trust) = &self.trust {
            let client = self.client_as(&trust.person("tester")).await;
            return client.unwrap_or_else(|error| panic!("the test's NATS server does not take a client: {error}"));
        }
        let options = async_nats::ConnectOptions::new()
            .max_reconnects(None)
            .reconnect_delay_callback(|_| Duration::from_millis(20));
        Box::pin(options.connect(self.url()))
            .await
            .unwrap_or_else(|error| panic!("the test's NATS server does not answer: {error}"))
    }

    /// Kills it as a power cut would: no goodbye to anybody.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("a child that was not waited for can be killed");
            process.wait().expect("a child that was killed can be waited for");
        }
    }

    /// Starts it again after [`NatsServer::kill`], on the same port and with the same store.
    ///
    /// # Panics
    /// If it was not killed before, or does not start.
    pub async fn restart(&mut self) {
        assert!(
            self.process.is_none(),
            "kill the NATS server before it is started again"
        );
        self.launch(Some(self.port)).await;
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    async fn launch(&mut self, port: Option<u16>) {
        let program = program();
        let ports = self.folder.join("ports");
        // What a killed server wrote must not be taken for the word of the new one.
        if ports.exists() {
            std::fs::remove_dir_all(&ports).expect("the test's own folder can be emptied");
        }
        std::fs::create_dir(&ports).expect("the test's own folder can be written");
        let settings = self.folder.join("settings.conf");
        std::fs::write(&settings, self.settings(port, &ports)).expect("the test's own folder can be written");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("the test's own folder can be written");
        let errors = log.try_clone().expect("a file can be written from two sides");
        let child = Command::new(&program)
            .arg("--config")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{} cannot be started ({error}); `cargo xtask nats` gets one, MUSTER_NATS_SERVER names another",
                    program.display()
                )
            });
        let process = self.process.insert(child);
        let log = self.folder.join("log");
        self.port = until_within(START_LIMIT, "the NATS server answers", async || {
            if let Ok(Some(status)) = process.try_wait() {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("the NATS server ended with {status}:\n{log}");
            }
            let port = announced_port(&ports, "nats").ok_or("no port yet")?;
            match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                Ok(_) => Ok(port),
                Err(_) => Err("a port, but no answer yet"),
            }
        })
        .await;
    }

    fn settings(&self, port: Option<u16>, ports: &Path) -> String {
        if let Some(trust) = &self.trust {
            return trust.conf(&self.folder, port, ports.to_owned()).text();
        }
        let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let store = self.folder.join("jetstream");
        format!(
            "host: \"127.0.0.1\"\nport: {port}\nmax_payload: {MAX_PAYLOAD}\nports_file_dir: {ports:?}\n\
             jetstream {{ store_dir: {store:?} }}\n"
        )
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The file that the server writes once it listens: `{"nats":["nats://127.0.0.1:<port>"],"websocket":[…]}`.
fn announced_port(folder: &Path, kind: &str) -> Option<u16> {
    let entry = std::fs::read_dir(folder).ok()?.next()?.ok()?;
    let text = std::fs::read_to_string(entry.path()).ok()?;
    let ports: serde_json::Value = serde_json::from_str(&text).ok()?;
    let address = ports.get(kind)?.get(0)?.as_str()?;
    address.rsplit(':').next()?.parse().ok()
}

/// `MUSTER_NATS_SERVER`, else what `cargo xtask nats` installed into this working copy, else the one on PATH.
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("MUSTER_NATS_SERVER") {
        return PathBuf::from(named);
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.muster/tools/nats-server");
    if installed.is_file() {
        installed
    } else {
        PathBuf::from("nats-server")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::until;

    #[tokio::test]
    async fn a_restarted_server_keeps_its_port_its_clients_and_its_stored_messages() {
        let mut server = NatsServer::start().await;
        let url = server.url();
        let client = server.client().await;
        let jetstream = async_nats::jetstream::new(client.clone());
        let wanted = async_nats::jetstream::stream::Config {
            name: "KEPT".to_owned(),
            subjects: vec!["kept".to_owned()],
            ..Default::default()
        };
        jetstream.create_stream(wanted).await.unwrap();
        jetstream.publish("kept", "once".into()).await.unwrap().await.unwrap();

        server.kill();
        until("the client has noticed", async || match client.connection_state() {
            async_nats::connection::State::Connected => Err("still connected"),
            _ => Ok(()),
        })
        .await;
        server.restart().await;

        assert_eq!(server.url(), url);
        let messages = until("the client is back", async || {
            let mut stream = jetstream.get_stream("KEPT").await.map_err(|error| error.to_string())?;
            let info = stream.info().await.map_err(|error| error.to_string())?;
            Ok::<_, String>(info.state.messages)
        })
        .await;
        assert_eq!(messages, 1);
    }

    #[tokio::test]
    async fn two_servers_do_not_meet() {
        let (one, two) = tokio::join!(NatsServer::start(), NatsServer::start());
        assert_ne!(one.url(), two.url());
        assert_eq!(one.client().await.server_info().max_payload, MAX_PAYLOAD);
    }
}
