//! Registration by activation (agent.md B8, fleet 9): a machine becomes a node with the id and the code of an activation.
//! It asks on the bus, or over HTTPS at the gateway.

mod door;
mod gateway;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use muster_credential::work::WorkKeys;
use muster_credential::{Creds, Key, Proof, Purpose};
use muster_model::NodeId;
use muster_proto::aws::v1::Tag;
use muster_proto::fleet::v1::{RegisterManagedInstanceRequest, RegisterManagedInstanceResult};
use tokio::time::Instant;

pub(crate) use door::Door;
pub use gateway::{GatewayUrl, UrlError};

use crate::daemon::{ServerError, backoff, servers};
use crate::keys::Keys;
use crate::settings::{Bus, InClear, Settings, WorkSignatures};
use crate::state::{Identity, StateDir};
use crate::update::RESTART;
use crate::{facts, machine};
use door::Trouble;
use gateway::Gateway;

/// With this the service begins when a key is another node's.
const FOREIGN_KEY: &str = "ForeignKey:";

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
    /// The gateway to ask; none: the bus is asked.
    pub url: Option<GatewayUrl>,
    /// The keys whose work it is to carry out, as whoever made the activation says; none: as the service says.
    pub work_keys: Option<WorkKeys>,
    /// Claims with which a machine without credential may connect; none where the bus is open.
    pub ticket: Option<String>,
    /// Whether the bus may be used without encryption although it is not on this machine.
    pub is_insecure: bool,
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
    /// Whoever was asked did not say where the bus is.
    #[error(
        "the gateway does not say where the bus is: set `node_servers` in fleet's settings, or give --server as well"
    )]
    NoServerTold,
    /// The server list is malformed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Whoever is on the way could read everything, and speak for the service.
    #[error(transparent)]
    InClear(#[from] InClear),
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
    let door = door(settings, wanted)?;
    let keys = Keys::at(state.root());
    let former = keys.current()?;
    let ask = async |key: &Key| {
        let applicant = Applicant {
            identity: &identity,
            settings,
            wanted,
            key,
            former: former.as_ref(),
        };
        applicant.persist(&door).await
    };
    let mut key = keys.registering()?;
    let mut answer = ask(&key).await;
    if matches!(&answer, Err(Error::Refused(text)) if text.starts_with(FOREIGN_KEY)) {
        // A former try was let in without our hearing of it, and that node was put out since.
        keys.give_up_registering()?;
        key = keys.registering()?;
        answer = ask(&key).await;
    }
    let answer = answer?;
    let node: NodeId = answer.instance_id().parse().map_err(|_| Error::Strange)?;
    let (server, ca) = bus_of(state, settings, wanted, &answer)?;
    let work_keys = match (&wanted.work_keys, answer.work_keys()) {
        (Some(keys), _) => Some(keys.clone()),
        (None, "") => None,
        (None, told) => Some(told.parse().map_err(|_| Error::Strange)?),
    };
    keys.accept_registration()?;
    // Whoever lets the machine in tells it anew whose work it is to carry out. Who requires signatures has been told on
    // this machine: the bus is on the way of an answer, also of one over HTTPS.
    let takes_told = settings.work_signatures != WorkSignatures::Required;
    match work_keys {
        Some(keys) if takes_told || wanted.work_keys.is_some() => state.set_work_keys(&keys)?,
        _ if takes_told => state.forget_work_keys()?,
        _ => {}
    }
    if let Some(token) = answer.user_jwt.clone() {
        let creds = Creds::new(token, key.clone()).map_err(|_| Error::Strange)?;
        state.set_credentials(&creds)?;
    }
    state.set_identity(&Identity {
        node: Some(node.clone()),
        server,
        ca,
        ticket: wanted.ticket.clone().unwrap_or_default(),
        url: wanted.url.as_ref().map(GatewayUrl::to_string).unwrap_or_default(),
        url_ca: settings.nats.ca.clone(),
        insecure: Some(wanted.is_insecure),
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

/// Where the machine asks.
fn door(settings: &Settings, wanted: &Wanted) -> Result<Door, Error> {
    if let Some(url) = &wanted.url {
        return Ok(Door::Gateway(Gateway::at(url, &settings.nats.ca)?));
    }
    if settings.server.is_empty() {
        return Err(Error::NoServer);
    }
    let servers = servers(&settings.server)?;
    let bus = bus(settings, wanted);
    bus.check(&servers)?;
    Ok(Door::Bus {
        servers,
        bus,
        ticket: wanted.ticket.clone(),
    })
}

/// With what the bus is spoken to.
fn bus(settings: &Settings, wanted: &Wanted) -> Bus {
    let mut bus = settings.nats.clone();
    bus.insecure |= wanted.is_insecure;
    bus
}

/// Where the bus is from now on, and by which authority it is known: as somebody said on this machine, otherwise as the
/// answer says.
fn bus_of(
    state: &StateDir,
    settings: &Settings,
    wanted: &Wanted,
    answer: &RegisterManagedInstanceResult,
) -> Result<(String, PathBuf), Error> {
    if !settings.server.is_empty() {
        return Ok((settings.server.clone(), settings.nats.ca.clone()));
    }
    let told = answer.servers().to_owned();
    if told.is_empty() {
        return Err(Error::NoServerTold);
    }
    let ca = match answer.ca() {
        "" => settings.nats.ca.clone(),
        pem => state.keep_authority(pem)?,
    };
    let mut bus = bus(settings, wanted);
    bus.ca.clone_from(&ca);
    // What cannot be used would be found out by an agent that does not come up.
    bus.check(&servers(&told)?)?;
    Ok((told, ca))
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
    async fn persist(&self, door: &Door) -> Result<RegisterManagedInstanceResult, Error> {
        let end = Instant::now() + self.wanted.patience;
        let mut failures = 0;
        loop {
            let last = match door.ask(|time| self.question(time)).await {
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
    pub(crate) door: Door,
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
        let key = self.creds.key().public();
        let question = |time: i64| {
            let text = time.to_string();
            let parts = [self.node.as_str(), key.as_str(), &text].map(str::as_bytes);
            let proof = Proof::sign(self.creds.key(), Purpose::Renewal, &parts);
            RegisterManagedInstanceRequest {
                instance_id: Some(self.node.to_string()),
                public_key: Some(key.to_string()),
                proof_time: Some(time),
                proof: Some(proof.as_bytes().to_vec()),
                attributes: self.attributes.clone().into_iter().collect(),
                ..RegisterManagedInstanceRequest::default()
            }
        };
        let answer = self.door.ask(question).await.map_err(|trouble| match trouble {
            Trouble::Final(text) | Trouble::Passing(text) => text,
        })?;
        let token = answer.user_jwt.unwrap_or_default();
        let creds = Creds::new(token, self.creds.key().clone()).map_err(|error| error.to_string())?;
        match creds.name() == self.node.as_str() {
            true => Ok(creds),
            false => Err("the service answered with credentials of another node".to_owned()),
        }
    }
}
