//! The agent: one loop that owns everything and waits for one of many things to happen.
//!
//! There are no locks and no shared state: side effects (requests, disk syncs, waiting for processes) are futures that
//! end in an `Event`, and events are applied one after the other.
//! What to do when is decided by pure parts: `admission`, `queue`, `outbox`, `errand`, `backoff`, `reconnect`.
//!
//! | Module | What |
//! |---|---|
//! | `agent` | the loop's state, events, time |
//! | `work` | accepting, cancelling, the journal |
//! | `runs` | runner processes |
//! | `replies` | the outbox's requests |
//! | `carry` | what runners ask the services |
//! | `live` | output for whoever listens |
//! | `talk` | hello, pull, heartbeat, doorbells |
//! | `renewal` | the node's credentials |
//! | `reboot` | booting the machine for a script |
//! | `trust` | whose work is carried out |
//! | `desk` | what the agent writes down about itself |
//! | `uploads` | outputs that are still to be stored |
//! | `upkeep`, `tidying` | when the disk is looked at; what is removed |
//! | `bus`, `network` | the connection; what becomes of the machine's network |
//! | `runners`, `nursery` | processes |

mod admission;
mod agent;
pub(crate) mod backoff;
mod bus;
mod carry;
mod desk;
mod errand;
mod live;
mod network;
mod nursery;
mod outbox;
mod queue;
mod reboot;
mod reconnect;
mod register;
mod renewal;
mod replies;
mod rotation;
mod runners;
mod runs;
mod talk;
mod tidying;
mod trust;
mod upkeep;
mod uploads;
mod work;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use futures::StreamExt;
use tokio::net::{UnixDatagram, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Registry, reload};

use crate::os;
use crate::settings::{CredentialsError, InClear, Settings};
use crate::state::StateDir;

pub use bus::ServerError;
pub(crate) use bus::{CallError, call, servers};
pub use nursery::Nursery;
pub use runners::RunnerCommand;

use agent::{Agent, Event};
use runners::Starter;

/// How an agent is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// NATS addresses, separated by commas; empty: those of the configuration.
    pub server: String,
    /// The state directory.
    pub state: PathBuf,
    /// The configuration file; read again at SIGHUP.
    pub config: Option<PathBuf>,
    /// The node's credentials; nothing: those of the configuration.
    pub credentials: Option<PathBuf>,
    /// The node's name at registration; empty: that of the configuration.
    pub name: String,
    /// The node's tags at registration, besides those of the configuration.
    pub tags: BTreeMap<String, String>,
    /// Changes what is logged when the configuration does.
    pub log: Option<LogFilter>,
    /// How to start a runner.
    pub runner: RunnerCommand,
}

/// Changes what is logged.
pub type LogFilter = reload::Handle<Targets, Registry>;

/// Why an agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody said where to connect to.
    #[error("there is no server to connect to: set `server` in the configuration, or give --server")]
    NoServer,
    /// The server list is malformed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The connection would not be encrypted.
    #[error(transparent)]
    InClear(#[from] InClear),
    /// The node's credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The state directory cannot be used.
    #[error("cannot use the state directory {path:?}")]
    State {
        /// The directory.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// Another agent runs on the state directory.
    #[error("another agent runs on the state directory {0:?}")]
    Occupied(PathBuf),
    /// The connection cannot even be tried.
    #[error("cannot start connecting")]
    Connect(#[from] async_nats::ConnectError),
    /// The operating system refuses signals or sockets.
    #[error("the operating system refuses {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

/// Why an agent has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It was asked to.
    Stop,
    /// Its program was replaced, and the new one is to go on in its place.
    Restart,
}

/// Runs the agent until SIGTERM or SIGINT, or until its program was replaced. Needs a current-thread runtime.
/// A `nursery` makes runners start faster; it must be opened for the same state directory.
///
/// # Errors
/// Only at the start; afterwards everything is retried for ever.
pub async fn run(options: Options, nursery: Option<Nursery>) -> Result<Departure, StartError> {
    // Runners inherit from us, and scripts from them.
    os::close_descriptors_on_exec().map_err(|source| StartError::System {
        what: "a list of descriptors",
        source,
    })?;
    let unusable = |source| StartError::State {
        path: options.state.clone(),
        source,
    };
    let refused = |what| move |source| StartError::System { what, source };
    let state = StateDir::at(&options.state);
    state.prepare().map_err(unusable)?;
    let occupied = state
        .occupy()
        .map_err(unusable)?
        .ok_or_else(|| StartError::Occupied(options.state.clone()))?;
    occupied.introduce().map_err(unusable)?;
    let loaded = load_settings(&state, &options);
    if loaded.settings.server.is_empty() {
        return Err(StartError::NoServer);
    }
    let servers = bus::servers(&loaded.settings.server)?;
    loaded.settings.nats.check(&servers)?;

    let mut terminate = signal(SignalKind::terminate()).map_err(refused("signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused("signals"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(refused("signals"))?;
    let mut stop_asked = std::pin::pin!(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });

    // Runners of a former agent may have lost their socket; they find the new one by its path.
    let _ = std::fs::remove_file(state.notify_socket());
    let notify = UnixDatagram::bind(state.notify_socket()).map_err(refused("a socket"))?;
    let _ = std::fs::remove_file(state.courier_socket());
    let courier = UnixListener::bind(state.courier_socket()).map_err(refused("a socket"))?;

    let mut network = network::watch();
    let mut identity = state.identity().map_err(unusable)?;
    let granted = loaded.settings.nats.node(identity.node.as_ref())?;
    let node = match (&identity.node, granted) {
        (Some(node), _) => node.clone(),
        // Whoever gave us credentials has registered us.
        (None, Some(node)) => {
            identity.node = Some(node.clone());
            state.set_identity(&identity).map_err(unusable)?;
            node
        }
        (None, None) => {
            let node = tokio::select! {
                node = register::register(servers.clone(), network.clone(), &identity, &state, &loaded.settings) => node?,
                () = &mut stop_asked => return Ok(Departure::Stop),
            };
            identity.node = Some(node.clone());
            state.set_identity(&identity).map_err(unusable)?;
            node
        }
    };

    let (links, mut link_news) = mpsc::unbounded_channel();
    let client = bus::connect(servers, &loaded.settings.nats, node.as_str(), links, network.clone()).await?;
    tracing::info!(node = %node, version = crate::facts::version(), "agent started");
    let mut agent = Agent::new(
        state.clone(),
        loaded,
        node,
        client,
        Starter::new(nursery, options.runner.clone(), &options.state),
    );
    agent.open_journal().map_err(unusable)?;
    agent.look_for_uploads(std::time::Duration::ZERO);
    agent.subscribe().await;

    let mut datagram = [0; 64];
    loop {
        agent.act();
        if agent.is_done() {
            break;
        }
        let (next_due, is_stopping) = (agent.next_due(), agent.is_stopping());
        let event = tokio::select! {
            biased;
            () = &mut stop_asked, if !is_stopping => Event::Stop,
            Some(link) = link_news.recv() => Event::Link(link),
            Some(event) = agent.tasks.next(), if !agent.tasks.is_empty() => event,
            Some(message) = agent.inbox.next(), if !agent.inbox.is_empty() => Event::Message(message),
            Some(_) = agent.doorbells.next(), if !agent.doorbells.is_empty() => Event::Doorbell,
            Ok((stream, _)) = courier.accept() => Event::Asked(stream),
            Ok(length) = notify.recv(&mut datagram) => Event::News(datagram[..length].to_vec()),
            Ok(()) = network.changed() => Event::NetworkChanged,
            Some(()) = hangup.recv() => Event::Settings(Box::new(load_settings(&state, &options))),
            () = tokio::time::sleep_until(next_due.into()) => Event::Tick,
        };
        agent.apply(event);
    }
    agent.close().await;
    tracing::info!("agent stopped");
    Ok(match agent.is_restarting() {
        true => Departure::Restart,
        false => Departure::Stop,
    })
}

/// The configuration that applies, and what is wrong with the one on the disk.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) problem: Option<String>,
}

/// The configuration if it is good, otherwise the last one that was; what the command line says wins.
fn load_settings(state: &StateDir, options: &Options) -> Loaded {
    let found = match &options.config {
        Some(config) => Settings::load_layers(config, std::env::vars()),
        None => Settings::of_environment(std::env::vars()),
    };
    let (mut settings, problem) = match found {
        Ok(settings) => (settings, None),
        Err(error) => {
            let problem = describe(&error);
            tracing::error!(problem, "the configuration is not taken; the last good one applies");
            (state.settings(), Some(problem))
        }
    };
    for (given, key) in [
        (&options.server, &mut settings.server),
        (&options.name, &mut settings.name),
    ] {
        if !given.is_empty() {
            key.clone_from(given);
        }
    }
    if let Some(credentials) = &options.credentials {
        settings.nats.credentials.clone_from(credentials);
    }
    settings.tags.extend(options.tags.clone());
    take_registration(&mut settings, state);
    if settings != state.settings()
        && let Err(error) = state.set_settings(&settings)
    {
        tracing::error!(%error, "cannot remember the configuration; runners use the former one");
    }
    if let (Some(filter), Ok(wanted)) = (&options.log, settings.log.parse::<Targets>())
        && let Err(error) = filter.reload(wanted)
    {
        tracing::error!(%error, "what is logged cannot be changed");
    }
    Loaded { settings, problem }
}

/// Where it was registered is where the machine belongs, with what it got there, unless somebody says otherwise.
pub(crate) fn take_registration(settings: &mut Settings, state: &StateDir) {
    if let Ok(Some(identity)) = state.known_identity() {
        // What was said of the way there was not said of another one.
        if settings.server.is_empty() || settings.server == identity.server {
            settings.nats.insecure |= identity.insecure.unwrap_or(true);
        }
        if settings.server.is_empty() {
            settings.server = identity.server;
            if settings.nats.ca.as_os_str().is_empty() {
                settings.nats.ca = identity.ca;
            }
        }
    }
    let own = state.credentials_file();
    if settings.nats.credentials.as_os_str().is_empty() && own.exists() {
        settings.nats.credentials = own;
    }
}

/// An error with its cause.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", cause.to_string().trim_end()),
        None => error.to_string(),
    }
}
