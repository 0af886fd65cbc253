//! The connection to NATS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{Auth, AuthError, Client, ConnectOptions, Event, ServerAddr};
use muster_credential::{Creds, CredsError};
use muster_wire::{in_clear, stay_encrypted};

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
    /// An address that is none.
    #[error("{address:?} is no address of a server: tls://HOST:PORT is")]
    Address {
        /// What stands there, without a password.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection would not be encrypted (fleet 9).
    #[error(
        "{0} is not encrypted, and whoever is on the way could read everything: use tls:// or wss://, name the authority of \
         the server (`ca`), or say that the network is private in itself (`insecure`)"
    )]
    InClear(String),
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

fn options(name: &str, settings: &NatsSettings, servers: &[ServerAddr]) -> Result<ConnectOptions, BusError> {
    let options = match settings.credentials.as_os_str().is_empty() {
        true => ConnectOptions::new(),
        false => with_credentials(&settings.credentials)?,
    };
    let has_authority = !settings.ca.as_os_str().is_empty();
    let options = match has_authority {
        true => options.add_root_certificates(settings.ca.clone()),
        false => options,
    };
    let options = stay_encrypted(options, servers, has_authority, settings.insecure);
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
/// If the credentials cannot be used, the connection would not be encrypted, or no server takes it.
pub async fn connect_now(name: &str, settings: &NatsSettings) -> Result<Client, BusError> {
    let servers = servers(&settings.url)?;
    match in_clear(&servers, !settings.ca.as_os_str().is_empty()) {
        Some(server) if !settings.insecure => return Err(BusError::InClear(server)),
        _ => {}
    }
    // Large, and part of the future of everything that starts.
    Ok(Box::pin(options(name, settings, &servers)?.connect(servers)).await?)
}

/// Connects, and waits for a server and for credentials as long as it takes.
///
/// # Errors
/// If the addresses cannot be used, whoever is there.
pub async fn connect(name: &str, settings: &NatsSettings) -> Result<Client, BusError> {
    let mut pause = Duration::from_millis(50);
    loop {
        match connect_now(name, settings).await {
            Ok(client) => return Ok(client),
            Err(error @ (BusError::Address { .. } | BusError::InClear(_))) => return Err(error),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the bus does not answer yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn servers(list: &str) -> Result<Vec<ServerAddr>, BusError> {
    let server = |address: &str| {
        address.trim().parse().map_err(|source| BusError::Address {
            // A user and a password may stand before the host.
            address: address.rsplit('@').next().unwrap_or_default().trim().to_owned(),
            source,
        })
    };
    list.split(',').map(server).collect()
}
