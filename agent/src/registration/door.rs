//! Where a machine asks that has no credential for the bus.

use std::time::Duration;

use async_nats::{Auth, Client, ConnectOptions, HeaderMap, ServerAddr};
use muster_credential::layout;
use muster_proto::fleet::v1::{RegisterManagedInstanceRequest, RegisterManagedInstanceResult};
use muster_wire::subject;

use super::gateway::{Gateway, GatewayUrl};
use crate::daemon::{CallError, call, servers};
use crate::settings::{Bus, Settings};
use crate::state::Identity;

/// The name of whoever has no credential yet.
const BOOT: &str = "boot";
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Where a machine asks that has no credential.
#[derive(Debug, Clone)]
pub(crate) enum Door {
    Bus {
        servers: Vec<ServerAddr>,
        bus: Bus,
        ticket: Option<String>,
    },
    Gateway(Gateway),
}

impl Door {
    /// The door of a machine that is registered; none if nothing lets it in.
    ///
    /// # Errors
    /// If what it remembers cannot be used, for people.
    pub(crate) fn of(identity: &Identity, settings: &Settings) -> Result<Option<Self>, String> {
        if !identity.url.is_empty() {
            // Whoever registered it there has said that it may be asked there.
            let url = GatewayUrl::parse(&identity.url, true).map_err(|error| error.to_string())?;
            let gateway = Gateway::at(&url, &identity.url_ca).map_err(|error| error.to_string())?;
            return Ok(Some(Self::Gateway(gateway)));
        }
        if identity.ticket.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self::Bus {
            servers: servers(&settings.server).map_err(|error| error.to_string())?,
            bus: settings.nats.clone(),
            ticket: Some(identity.ticket.clone()),
        }))
    }

    /// Asks for the service's time, and then what is made with it: the proof is over the service's time, whatever this
    /// machine's clock says.
    pub(super) async fn ask(
        &self,
        question: impl FnOnce(i64) -> RegisterManagedInstanceRequest,
    ) -> Result<RegisterManagedInstanceResult, Trouble> {
        let empty = RegisterManagedInstanceRequest::default();
        let time = |first: RegisterManagedInstanceResult| first.service_time.map_or(0, |time| time.seconds);
        match self {
            Self::Gateway(gateway) => {
                let first = gateway.ask(&empty).await?;
                gateway.ask(&question(time(first))).await
            }
            Self::Bus { servers, bus, ticket } => {
                let client = connect(servers.clone(), bus, ticket.clone()).await?;
                let subject = match ticket {
                    Some(_) => subject::REGISTER_IN_BOOT,
                    None => subject::REGISTER,
                };
                let first = on_bus(&client, subject, &empty).await?;
                on_bus(&client, subject, &question(time(first))).await
            }
        }
    }
}

async fn on_bus(
    client: &Client,
    subject: &str,
    question: &RegisterManagedInstanceRequest,
) -> Result<RegisterManagedInstanceResult, Trouble> {
    let answer = call(client, subject.to_owned(), HeaderMap::new(), question).await;
    answer.map_err(|error| match &error {
        CallError::Refused { text, .. } if error.is_final() => Trouble::Final(text.clone()),
        _ => Trouble::Passing(error.to_string()),
    })
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Asking again does not help.
    Final(String),
    /// It may.
    Passing(String),
}

impl From<async_nats::ConnectError> for Trouble {
    fn from(error: async_nats::ConnectError) -> Self {
        let text = match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        Self::Passing(text)
    }
}

async fn connect(
    servers: Vec<ServerAddr>,
    bus: &Bus,
    ticket: Option<String>,
) -> Result<Client, async_nats::ConnectError> {
    let options = match ticket {
        // The ticket needs no signature: it is no secret, and lets in nobody without an activation's code.
        Some(ticket) => ConnectOptions::with_auth_callback(move |_| {
            let ticket = ticket.clone();
            async move {
                let mut auth = Auth::new();
                auth.jwt = Some(ticket);
                Ok(auth)
            }
        }),
        None => ConnectOptions::new(),
    };
    bus.trusting(options, &servers)
        .name(format!("muster-agent {BOOT}"))
        .custom_inbox_prefix(layout::boot_inbox())
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(ANSWER))
        .connect(servers)
        .await
}
