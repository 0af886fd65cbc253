//! A whole fleet: starting it, steering it, asking what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{ConnectOptions, Event};
use muster_model::NodeId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::RunId;
use crate::behaviour::Script;
use crate::crowd::{Crowd, Order};
use crate::tally::{RunTally, Tally};

/// The tags of a node, from its number in the fleet.
type Tags = Arc<dyn Fn(usize) -> BTreeMap<String, String> + Send + Sync>;

/// What a fleet is.
#[derive(Clone)]
pub struct SimSettings {
    /// The NATS address.
    pub server: String,
    /// How many agents.
    pub nodes: usize,
    /// Over how many connections; at least one.
    pub connections: usize,
    /// Distinguishes fleets: the nodes are called `<name>-<number>`, and register again as the same machines.
    pub name: String,
    /// The tags of each node.
    pub tags: Tags,
    /// What runs do.
    pub script: Script,
}

impl SimSettings {
    /// So many agents that succeed at once, over one connection per thousand (but at least two where that makes sense).
    #[must_use]
    pub fn new(server: impl Into<String>, nodes: usize) -> Self {
        Self {
            server: server.into(),
            nodes,
            connections: nodes.div_ceil(1_000).max(nodes.min(2)).max(1),
            name: "sim".to_owned(),
            tags: Arc::new(|_| BTreeMap::new()),
            script: Script::default(),
        }
    }

    /// The same with these tags.
    #[must_use]
    pub fn with_tags(self, tags: impl Fn(usize) -> BTreeMap<String, String> + Send + Sync + 'static) -> Self {
        Self {
            tags: Arc::new(tags),
            ..self
        }
    }

    /// The same with this script.
    #[must_use]
    pub fn with_script(self, script: Script) -> Self {
        Self { script, ..self }
    }
}

impl fmt::Debug for SimSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimSettings")
            .field("server", &self.server)
            .field("nodes", &self.nodes)
            .field("connections", &self.connections)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why a fleet cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The broker does not answer.
    #[error("cannot connect to the broker")]
    Connect(#[from] async_nats::ConnectError),
}

/// What all crowds share.
pub(crate) struct Shared {
    pub(crate) settings: SimSettings,
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

/// A running fleet. Dropping it takes all agents away at once.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    script: watch::Sender<Script>,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    _crowds: JoinSet<()>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Fleet {
    /// Starts a fleet and waits until every agent is registered, subscribed, and has been greeted back.
    /// Waits for ever where nobody answers; callers that cannot have limits of their own.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn start(settings: SimSettings) -> Result<Self, StartError> {
        let fleet = Self::launch(settings).await?;
        let nodes = fleet.shared.settings.nodes;
        // The sender lives as long as the fleet.
        let _ = fleet.shared.ready.subscribe().wait_for(|ready| *ready >= nodes).await;
        Ok(fleet)
    }

    /// Starts a fleet whose agents come one by one; see `ready`.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn launch(settings: SimSettings) -> Result<Self, StartError> {
        let (script, script_now) = watch::channel(settings.script.clone());
        let (nodes, connections) = (settings.nodes, settings.connections.max(1));
        let shared = Arc::new(Shared {
            script: script_now,
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
            _crowds: crowds,
        })
    }

    /// How many agents have been greeted.
    #[must_use]
    pub fn ready(&self) -> usize {
        *self.shared.ready.borrow()
    }

    /// The nodes' ids in the order of their numbers; those that are registered.
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

    /// What runs do from now on; runs that have begun go on as they were.
    pub fn set_script(&self, script: Script) {
        self.script.send_replace(script);
    }

    /// Takes an agent away: the broker says "no responders" for it. Its runs go on.
    pub fn take_offline(&self, number: usize) {
        self.order(number, Order::Offline(number));
    }

    /// Brings an agent back: it subscribes, says hello, pulls, and sends what was not confirmed.
    pub fn bring_online(&self, number: usize) {
        self.order(number, Order::Online(number));
    }

    fn order(&self, number: usize, order: Order) {
        // A crowd ends only with the fleet.
        let _ = self.orders[number % self.orders.len()].send(order);
    }

    /// What happened to a run, on all nodes.
    #[must_use]
    pub fn tally(&self, run: RunId) -> RunTally {
        self.shared.tally.of(run)
    }

    /// Executions of all runs on all nodes.
    #[must_use]
    pub fn executions(&self) -> u64 {
        self.shared.tally.executions()
    }
}

async fn connect(
    settings: &SimSettings,
    connection: usize,
    links: mpsc::UnboundedSender<()>,
) -> Result<async_nats::Client, StartError> {
    let options = ConnectOptions::new()
        .name(format!("muster-agent-sim {} {connection}", settings.name))
        .custom_inbox_prefix(format!("_INBOX_sim_{}_{connection}", settings.name))
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
    Ok(options.connect(settings.server.as_str()).await?)
}
