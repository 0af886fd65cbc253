//! A whole fleet: starting it, steering it, asking what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{ConnectOptions, Event};
use muster_credential::Creds;
use muster_model::NodeId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::RunId;
use crate::crowd::{Crowd, Order};
use crate::script::Script;
use crate::tally::{Execution, RunTally, Tally};

/// What kind of fleet.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// Address of the bus.
    pub nats_url: String,
    /// A `.creds` file of a user that may speak for any node; nothing where the bus lets everybody in.
    pub credentials: Option<PathBuf>,
    /// How many nodes.
    pub nodes: usize,
    /// Over how many connections; nodes are spread evenly.
    pub connections: usize,
    /// Tells this fleet's machines from those of other fleets; a fleet of the same name is the same machines again.
    pub name: String,
    /// Tags that every node has.
    pub tags: BTreeMap<String, String>,
    /// What nodes do with work.
    pub script: Script,
}

/// Tags of single nodes, from their number.
type TagsOf = dyn Fn(usize) -> BTreeMap<String, String> + Send + Sync;

/// Why a fleet cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The broker does not answer.
    #[error("cannot connect to the broker")]
    Connect(#[from] async_nats::ConnectError),
    /// The credentials cannot be read.
    #[error("the credentials in {path:?} cannot be used")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What all crowds share.
pub(crate) struct Shared {
    pub(crate) settings: FleetSettings,
    pub(crate) tags_of: Box<TagsOf>,
    pub(crate) script: watch::Receiver<Script>,
    pub(crate) tally: Tally,
    ids: Mutex<Vec<Option<NodeId>>>,
    /// Nodes that have greeted at least once.
    ready: watch::Sender<usize>,
    greeted: Mutex<Vec<bool>>,
}

impl Shared {
    pub(crate) fn arrived(&self, number: usize, id: NodeId) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(id);
    }

    pub(crate) fn greeted(&self, number: usize) {
        let mut greeted = self.greeted.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut greeted[number], true) {
            self.ready.send_modify(|ready| *ready += 1);
        }
    }
}

/// Simulated nodes that are registered and listening. Dropping it takes them away at once.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    script: watch::Sender<Script>,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    crowds: JoinSet<()>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Fleet {
    /// Registers the nodes and connects them. When this returns every node listens and has been greeted back.
    /// Waits for ever where nobody answers; callers that cannot have limits of their own.
    ///
    /// # Errors
    /// If the bus does not answer.
    pub async fn start(settings: FleetSettings) -> Result<Self, StartError> {
        Self::start_tagged(settings, |_| BTreeMap::new()).await
    }

    /// As `start`; each node has, besides the tags of all, those that the function gives for its number.
    ///
    /// # Errors
    /// If the bus does not answer.
    pub async fn start_tagged(
        settings: FleetSettings,
        tags_of: impl Fn(usize) -> BTreeMap<String, String> + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let nodes = settings.nodes;
        let fleet = Self::launch(settings, Box::new(tags_of)).await?;
        // The sender lives as long as the fleet.
        let _ = fleet.shared.ready.subscribe().wait_for(|ready| *ready >= nodes).await;
        Ok(fleet)
    }

    async fn launch(settings: FleetSettings, tags_of: Box<TagsOf>) -> Result<Self, StartError> {
        let (script, script_now) = watch::channel(settings.script.clone());
        let (nodes, connections) = (settings.nodes, settings.connections.max(1));
        let shared = Arc::new(Shared {
            script: script_now,
            tags_of,
            tally: Tally::default(),
            ids: Mutex::new(vec![None; nodes]),
            ready: watch::Sender::new(0),
            greeted: Mutex::new(vec![false; nodes]),
            settings,
        });
        let (mut crowds, mut orders) = (JoinSet::new(), Vec::new());
        for connection in 0..connections {
            let (links, link_news) = mpsc::unbounded_channel();
            let client = connect(&shared.settings, connection, links).await?;
            let (order, orders_here) = mpsc::unbounded_channel();
            let numbers = (connection..nodes).step_by(connections);
            let crowd = Crowd::new(client, Arc::clone(&shared), numbers);
            crowds.spawn(crowd.live(link_news, orders_here));
            orders.push(order);
        }
        Ok(Self {
            shared,
            script,
            orders,
            crowds,
        })
    }

    /// The nodes' ids, by number.
    #[must_use]
    pub fn ids(&self) -> Vec<NodeId> {
        self.shared
            .ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// What nodes do from now on; runs that have begun go on as they were.
    pub fn set_script(&self, script: Script) {
        self.script.send_replace(script);
    }

    /// Takes a node off the bus: there are "no responders" for it. Its runs go on and its journal stays.
    pub fn disconnect(&self, number: usize) {
        self.order(number, Order::Leave(number));
    }

    /// Brings a node back: when this returns it listens; it says hello, asks for its work and reports what is not
    /// confirmed.
    pub async fn reconnect(&self, number: usize) {
        let (listening, is_listening) = oneshot::channel();
        self.order(number, Order::Return(number, listening));
        // A node that is on the bus already answers by hanging up.
        let _ = is_listening.await;
    }

    fn order(&self, number: usize, order: Order) {
        // A crowd ends only with the fleet.
        let _ = self.orders[number % self.orders.len()].send(order);
    }

    /// Every execution that was ever begun.
    #[must_use]
    pub fn executions(&self) -> Vec<Execution> {
        self.shared.tally.executions(&self.ids())
    }

    /// Ends all nodes.
    pub async fn stop(mut self) {
        self.crowds.shutdown().await;
    }

    /// What happened to a run, on all nodes.
    #[must_use]
    pub fn tally(&self, run: RunId) -> RunTally {
        self.shared.tally.of(run)
    }
}

async fn connect(
    settings: &FleetSettings,
    connection: usize,
    links: mpsc::UnboundedSender<()>,
) -> Result<async_nats::Client, StartError> {
    let (options, inbox) = match &settings.credentials {
        None => (
            ConnectOptions::new(),
            format!("_INBOX.sim_{}_{connection}", settings.name),
        ),
        Some(path) => {
            let unusable = |source| StartError::Credentials {
                path: path.clone(),
                source,
            };
            let text = std::fs::read_to_string(path).map_err(unusable)?;
            let creds = Creds::parse(&text).map_err(|error| unusable(io::Error::other(error)))?;
            let options = ConnectOptions::with_credentials(&text).map_err(unusable)?;
            (options, format!("{}.{}_{connection}", creds.inbox(), settings.name))
        }
    };
    let options = options
        .name(format!("muster-agent-sim {} {connection}", settings.name))
        .custom_inbox_prefix(inbox)
        .max_reconnects(None)
        .subscription_capacity(1024)
        .reconnect_delay_callback(|attempt| match attempt {
            0 | 1 => Duration::ZERO,
            _ => Duration::from_millis(rand::random_range(20..200)),
        })
        .event_callback(move |event| {
            if matches!(event, Event::Connected) {
                let _ = links.send(());
            }
            std::future::ready(())
        });
    // Large, and part of the future of whoever starts nodes.
    Ok(Box::pin(options.connect(settings.nats_url.as_str())).await?)
}
