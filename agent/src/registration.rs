//! Registration by activation (agent.md B8, fleet 9): a machine becomes a node with the id and the code of an activation.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use async_nats::{Auth, Client, ConnectOptions, HeaderMap, ServerAddr};
use muster_credential::{Creds, Key, Proof, Purpose, layout};
use muster_model::NodeId;
use muster_proto::aws::v1::Tag;
use muster_proto::fleet::v1::{RegisterManagedInstanceRequest, RegisterManagedInstanceResult};
use muster_wire::subject;
use tokio::time::Instant;

use crate::daemon::{CallError, ServerError, backoff, call, servers};
use crate::keys::Keys;
use crate::settings::{Bus, Settings};
use crate::state::{Identity, StateDir};
use crate::update::RESTART;
use crate::{facts, machine};

/// The name of whoever has no credential yet.
const BOOT: &str = "boot";
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// The code of an activation. It does not print itself.
#[derive(Clone)]
pub struct Code(String);

impl Code {
    /// A code that somebody gave, without blanks and line ends around it.
    #[must_use]
    pub fn given(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

/// How a machine is to be registered.
#[derive(Debug)]
pub struct Wanted {
    /// The activation's id.
    pub activation_id: String,
    /// Its code.
    pub code: Code,
    /// Claims with which a machine without credential may connect; none where the bus is open.
    pub ticket: Option<String>,
    /// As another node than the one that it is.
    pub as_new: bool,
    /// Even if it is registered already.
    pub is_forced: bool,
    /// How long to try when nobody answers.
    pub patience: Duration,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was registered before; nothing was asked.
    Already(NodeId),
    /// It is this node.
    Registered {
        /// The node.
        node: NodeId,
        /// The service knew the machine.
        existing: bool,
    },
}

/// Why a machine is not registered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody said where to connect to.
    #[error("there is no server to connect to: give --server, or set `server` in the configuration")]
    NoServer,
    /// The server list is malformed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The state directory cannot be used.
    #[error("the state directory cannot be used")]
    State(#[from] io::Error),
    /// The service said no.
    #[error("{0}")]
    Refused(String),
    /// Nobody answered in time.
    #[error("nobody has answered within {seconds} seconds: {last}")]
    Unanswered {
        /// How long it was tried.
        seconds: u64,
        /// What went wrong last.
        last: String,
    },
    /// The answer makes no sense.
    #[error("the service answered without a node's id, or with credentials of another key")]
    Strange,
}

/// Makes this machine a node. What is decided is on the disk when this returns, and an agent that runs begins anew.
///
/// # Errors
/// If it is not registered. Nothing that was there before is lost then.
pub async fn register(state: &StateDir, settings: &Settings, wanted: &Wanted) -> Result<Outcome, Error> {
    state.prepare()?;
    let identity = state.identity()?;
    if let Some(node) = &identity.node
        && !wanted.is_forced
        && !wanted.as_new
    {
        return Ok(Outcome::Already(node.clone()));
    }
    if settings.server.is_empty() {
        return Err(Error::NoServer);
    }
    let servers = servers(&settings.server)?;
    let keys = Keys::at(state.root());
    let former = keys.current()?;
    let key = keys.next()?;
    let applicant = Applicant {
        identity: &identity,
        settings,
        wanted,
        key: &key,
        former: former.as_ref(),
    };
    let answer = applicant.persist(servers).await?;
    let node: NodeId = answer.instance_id().parse().map_err(|_| Error::Strange)?;
    keys.accept()?;
    if let Some(token) = answer.user_jwt.clone() {
        let creds = Creds::new(token, key.clone()).map_err(|_| Error::Strange)?;
        state.set_credentials(&creds)?;
    }
    state.set_identity(&Identity {
        node: Some(node.clone()),
        server: settings.server.clone(),
        ca: settings.nats.ca.clone(),
        ticket: wanted.ticket.clone().unwrap_or_default(),
        ..identity
    })?;
    // Nobody listens where no agent runs.
    if let Ok(socket) = UnixDatagram::unbound() {
        let _ = socket.send_to(RESTART, state.notify_socket());
    }
    Ok(Outcome::Registered {
        node,
        existing: answer.existing(),
    })
}

/// Forgets who this machine is, for an image that others are made from.
///
/// # Errors
/// If an agent runs on the directory, or what the file system says.
pub fn clear(state: &StateDir) -> io::Result<()> {
    if state.root().exists() && state.occupy()?.is_none() {
        let message = "an agent runs on the state directory: stop it first";
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
    }
    Keys::at(state.root()).remove()?;
    state.remove_identity()
}

/// A machine that asks.
struct Applicant<'a> {
    identity: &'a Identity,
    settings: &'a Settings,
    wanted: &'a Wanted,
    key: &'a Key,
    former: Option<&'a Key>,
}

impl Applicant<'_> {
    /// Asks until there is an answer, or time is over.
    async fn persist(&self, servers: Vec<ServerAddr>) -> Result<RegisterManagedInstanceResult, Error> {
        let end = Instant::now() + self.wanted.patience;
        let mut failures = 0;
        loop {
            let last = match self.attempt(servers.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Final(text)) => return Err(Error::Refused(text)),
                Err(Trouble::Passing(text)) => text,
            };
            failures += 1;
            let pause = backoff::CONNECTION.wait(failures, rand::random());
            if Instant::now() + pause >= end {
                return Err(Error::Unanswered {
                    seconds: self.wanted.patience.as_secs(),
                    last,
                });
            }
            tracing::debug!(last, "cannot register yet");
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, servers: Vec<ServerAddr>) -> Result<RegisterManagedInstanceResult, Trouble> {
        let client = connect(servers, &self.settings.nats, self.wanted.ticket.clone()).await?;
        // The proof is over the service's time, whatever this machine's clock says.
        let first = self.ask(&client, &RegisterManagedInstanceRequest::default()).await?;
        let time = first.service_time.map_or(0, |time| time.seconds);
        self.ask(&client, &self.question(time)).await
    }

    async fn ask(
        &self,
        client: &Client,
        question: &RegisterManagedInstanceRequest,
    ) -> Result<RegisterManagedInstanceResult, Trouble> {
        let subject = match self.wanted.ticket {
            Some(_) => subject::REGISTER_IN_BOOT,
            None => subject::REGISTER,
        };
        let answer = call(client, subject.to_owned(), HeaderMap::new(), question).await;
        answer.map_err(|error| match &error {
            CallError::Refused { text, .. } if error.is_final() => Trouble::Final(text.clone()),
            _ => Trouble::Passing(error.to_string()),
        })
    }

    fn question(&self, time: i64) -> RegisterManagedInstanceRequest {
        let (wanted, settings) = (self.wanted, self.settings);
        let tag = |(key, value): (&String, &String)| Tag {
            key: Some(key.clone()),
            value: Some(value.clone()),
        };
        let attributes: BTreeMap<String, String> = machine::attributes(&settings.host_root);
        RegisterManagedInstanceRequest {
            activation_id: Some(wanted.activation_id.clone()),
            activation_code: Some(wanted.code.0.clone()),
            public_key: Some(self.key.public().to_string()),
            public_key_type: Some("Ed25519Nkey".to_owned()),
            fingerprint: Some(self.identity.machine.clone()),
            attributes: attributes.into_iter().collect(),
            as_new: Some(wanted.as_new),
            name: Some(settings.name.clone()).filter(|name| !name.is_empty()),
            tags: settings.tags.iter().map(tag).collect(),
            facts: Some(facts::collect(settings)),
            proof_time: Some(time),
            proof: Some(self.proof(self.key, time)),
            former_key: self.former.map(|key| key.public().to_string()),
            former_proof: self.former.map(|key| self.proof(key, time)),
            instance_id: None,
        }
    }

    /// A key's signature over what is asked.
    fn proof(&self, key: &Key, time: i64) -> Vec<u8> {
        let time = time.to_string();
        let parts = [
            self.wanted.activation_id.as_str(),
            self.key.public().as_str(),
            &time,
            &self.identity.machine,
        ];
        let proof = Proof::sign(key, Purpose::Registration, &parts.map(str::as_bytes));
        proof.as_bytes().to_vec()
    }
}

/// A node whose claims for the bus have ended while it was away.
pub(crate) struct Returned {
    pub(crate) server: String,
    pub(crate) bus: Bus,
    pub(crate) ticket: String,
    pub(crate) node: NodeId,
    pub(crate) creds: Creds,
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Returned {
    /// Asks for new claims where machines register: the node's key is enough.
    ///
    /// # Errors
    /// Why there are none, for people.
    pub(crate) async fn renew(self) -> Result<Creds, String> {
        let servers = servers(&self.server).map_err(|error| error.to_string())?;
        let client = connect(servers, &self.bus, Some(self.ticket.clone())).await;
        let client = client.map_err(|error| error.to_string())?;
        let ask = async |question: &RegisterManagedInstanceRequest| {
            let subject = subject::REGISTER_IN_BOOT.to_owned();
            let answer = call::<RegisterManagedInstanceResult>(&client, subject, HeaderMap::new(), question).await;
            answer.map_err(|error| error.to_string())
        };
        let first = ask(&RegisterManagedInstanceRequest::default()).await?;
        let time = first.service_time.map_or(0, |time| time.seconds);
        let (key, text) = (self.creds.key().public(), time.to_string());
        let parts = [self.node.as_str(), key.as_str(), &text].map(str::as_bytes);
        let question = RegisterManagedInstanceRequest {
            instance_id: Some(self.node.to_string()),
            public_key: Some(key.to_string()),
            proof_time: Some(time),
            proof: Some(
                Proof::sign(self.creds.key(), Purpose::Renewal, &parts)
                    .as_bytes()
                    .to_vec(),
            ),
            attributes: self.attributes.into_iter().collect(),
            ..RegisterManagedInstanceRequest::default()
        };
        let answer = ask(&question).await?;
        let token = answer.user_jwt.unwrap_or_default();
        let creds = Creds::new(token, self.creds.key().clone()).map_err(|error| error.to_string())?;
        match creds.name() == self.node.as_str() {
            true => Ok(creds),
            false => Err("the service answered with credentials of another node".to_owned()),
        }
    }
}

/// Why there is no answer.
enum Trouble {
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
    bus.trusting(options)
        .name(format!("muster-agent {BOOT}"))
        .custom_inbox_prefix(layout::boot_inbox())
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(ANSWER))
        .connect(servers)
        .await
}
