//! Many simulated nodes over a few connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_nats::{Client, ConnectOptions};
use futures::{StreamExt, TryStreamExt};
use muster_model::NodeId;
use muster_proto::agent::v1::NodeFacts;
use muster_proto::fleet::v1::RegisterNodeRequest;
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_wire::{CallOptions, NatsChannel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Script;
use crate::node::{Execution, Node};

/// Registrations and greetings under way at once.
const AT_ONCE: usize = 512;
/// Registering ten thousand nodes may take a while on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What kind of fleet.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// Address of the bus.
    pub nats_url: String,
    /// How many nodes.
    pub nodes: usize,
    /// Over how many connections; nodes are spread evenly.
    pub connections: usize,
    /// Tells this fleet's machines from those of other fleets.
    pub name: String,
    /// Tags that every node has.
    pub tags: BTreeMap<String, String>,
    /// What nodes do with work.
    pub script: Script,
}

/// Simulated nodes that are registered and listening.
#[derive(Debug)]
pub struct Fleet {
    nodes: Vec<Arc<Node>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Fleet {
    /// Registers the nodes and connects them. When this returns every node would get work that is sent to it.
    ///
    /// # Errors
    /// If the bus or fleet does not answer.
    pub async fn start(settings: FleetSettings) -> anyhow::Result<Self> {
        let mut connections = Vec::new();
        for number in 0..settings.connections.max(1) {
            let options = ConnectOptions::new()
                .name(format!("sim-{}-{number}", settings.name))
                .max_reconnects(None)
                .reconnect_delay_callback(|_| Duration::from_millis(100))
                .subscription_capacity(4 * 1024)
                .client_capacity(64 * 1024);
            connections.push(options.connect(&settings.nats_url).await.context("no bus")?);
        }
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let nodes: Vec<Arc<Node>> = futures::stream::iter(0..settings.nodes)
            .map(|number| {
                let nats = connections[number % connections.len()].clone();
                let (settings, stop, tasks) = (&settings, &stop, &tasks);
                async move {
                    let id = register(&nats, settings, number).await?;
                    let node = Node::new(number, id, nats, settings.script.clone(), stop.clone(), tasks.clone());
                    node.connect().await?;
                    anyhow::Ok(node)
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for connection in &connections {
            connection.flush().await?;
        }
        Ok(Self { nodes, stop, tasks })
    }

    /// The nodes' ids, by number.
    #[must_use]
    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.iter().map(|node| node.id().clone()).collect()
    }

    /// Every execution that was ever begun.
    #[must_use]
    pub fn executions(&self) -> Vec<Execution> {
        self.nodes.iter().flat_map(|node| node.executions()).collect()
    }

    /// Takes a node off the bus; its journal stays.
    pub fn disconnect(&self, number: usize) {
        if let Some(node) = self.nodes.get(number) {
            node.disconnect();
        }
    }

    /// Brings a node back: it listens, says hello, asks for its work and reports what is not confirmed.
    ///
    /// # Errors
    /// If the bus does not take the subscription.
    pub async fn reconnect(&self, number: usize) -> anyhow::Result<()> {
        match self.nodes.get(number) {
            Some(node) => node.connect().await,
            None => Ok(()),
        }
    }

    /// Ends all nodes.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn register(nats: &Client, settings: &FleetSettings, number: usize) -> anyhow::Result<NodeId> {
    let request = RegisterNodeRequest {
        machine_identity: format!("sim-{}-{number}", settings.name),
        as_new: false,
        name: format!("sim-{number}"),
        tags: settings.tags.clone().into_iter().collect(),
        facts: Some(facts(number)),
    };
    let channel = NatsChannel::new(nats.clone()).with_options(CallOptions { timeout: PATIENCE });
    let registered = NodesClient::new(channel)
        .register_node(request)
        .await
        .context("fleet did not register a node")?;
    Ok(registered.into_inner().node_id.parse()?)
}

pub(crate) fn facts(number: usize) -> NodeFacts {
    NodeFacts {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        platform_type: "Linux".to_owned(),
        platform_name: "Simulated Linux".to_owned(),
        platform_version: "1".to_owned(),
        computer_name: format!("sim-{number}"),
        ip_address: "127.0.0.1".to_owned(),
        architecture: "x86_64".to_owned(),
        ..NodeFacts::default()
    }
}
