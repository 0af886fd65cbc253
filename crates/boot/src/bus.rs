//! The connection to NATS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{Auth, AuthError, Client, ConnectOptions, Event};
use muster_credential::{Creds, CredsError};

use crate::NatsSettings;
use crate::private_file::{PrivateFileError, read_private};

/// Longest pause between two tries to reconnect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The credentials cannot be used.
    #[error("the credentials in {} cannot be used", .path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CredentialsError,
    },
    /// What the client would take for a server that speaks in clear.
    #[error("WebSocket is not spoken here yet: name the server as tls://HOST:PORT")]
    WebSocket,
    /// No server takes the connection.
    #[error("no server takes the connection")]
    Connect(#[from] async_nats::ConnectError),
}

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// There are no credentials in it.
    #[error(transparent)]
    Content(#[from] CredsError),
}

fn read(path: &Path) -> Result<Creds, CredentialsError> {
    Ok(Creds::parse(&read_private(path)?)?)
}

/// Answers the server's challenge from the file as it is at that moment: a renewed one counts at the next connection.
fn answer(path: &Path, nonce: &[u8]) -> Result<Auth, CredentialsError> {
    let creds = read(path)?;
    let mut auth = Auth::new();
    auth.jwt = Some(creds.token().to_owned());
    auth.signature = Some(creds.key().sign(nonce));
    Ok(auth)
}

/// How to connect with these credentials.
fn with_credentials(path: &Path) -> Result<ConnectOptions, BusError> {
    let creds = read(path).map_err(|source| BusError::Credentials {
        path: path.to_owned(),
        source,
    })?;
    let file = path.to_owned();
    let options = ConnectOptions::with_auth_callback(move |nonce| {
        let answer = answer(&file, &nonce).map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                file = %file.display(),
                "the credentials cannot be used"
            );
            AuthError::new(error)
        });
        std::future::ready(answer)
    });
    // Nobody else may hear what is answered to this user.
    Ok(options.custom_inbox_prefix(creds.inbox()))
}

fn options(name: &str, settings: &NatsSettings) -> Result<ConnectOptions, BusError> {
    let options = match settings.credentials.as_os_str().is_empty() {
        true => ConnectOptions::new(),
        false => with_credentials(&settings.credentials)?,
    };
    let options = match settings.ca.as_os_str().is_empty() {
        true => options,
        // Whoever names an authority does not want to talk in the clear.
        false => options.add_root_certificates(settings.ca.clone()).require_tls(true),
    };
    Ok(options
        .name(name)
        .max_reconnects(None)
        .reconnect_delay_callback(|attempt| {
            let doubled = 2_u64.saturating_pow(u32::try_from(attempt).unwrap_or(u32::MAX));
            Duration::from_millis(doubled.saturating_mul(25)).min(LONGEST_PAUSE)
        })
        .connection_timeout(Duration::from_secs(5))
        .ping_interval(Duration::from_secs(20))
        // A burst of ten thousand answers must fit before the reader gets the processor.
        .subscription_capacity(128 * 1024)
        .client_capacity(8 * 1024)
        .event_callback(|event| async move {
            match event {
                Event::Connected => tracing::info!("connected to the bus"),
                Event::Disconnected => tracing::warn!("the bus is away"),
                Event::SlowConsumer(subscription) => {
                    tracing::error!(subscription, "messages were dropped: a subscriber is too slow");
                }
                // What is not in the service's list, or credentials that are over.
                Event::ServerError(error) => tracing::error!(%error, "the bus refuses"),
                other => tracing::debug!(event = %other, "the bus says"),
            }
        }))
}

/// Connects, or says why not.
///
/// # Errors
/// If the credentials cannot be used, or no server takes the connection.
pub async fn connect_now(name: &str, settings: &NatsSettings) -> Result<Client, BusError> {
    let addresses = addresses(&settings.url);
    let is_web = |address: &String| address.starts_with("ws://") || address.starts_with("wss://");
    if addresses.iter().any(is_web) {
        return Err(BusError::WebSocket);
    }
    Ok(options(name, settings)?.connect(addresses).await?)
}

/// Connects, and waits for a server and for credentials as long as it takes.
pub async fn connect(name: &str, settings: &NatsSettings) -> Client {
    let mut pause = Duration::from_millis(50);
    loop {
        match connect_now(name, settings).await {
            Ok(client) => return client,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the bus does not answer yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn addresses(url: &str) -> Vec<String> {
    url.split(',').map(|address| address.trim().to_owned()).collect()
}
