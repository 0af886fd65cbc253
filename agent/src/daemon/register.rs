//! The first contact: a machine becomes a node (agent.md B8).

use std::time::Duration;

use async_nats::{Client, HeaderMap, ServerAddr};
use muster_model::NodeId;
use muster_proto::fleet::v1::{RegisterNodeRequest, RegisterNodeResult};
use muster_wire::subject;
use tokio::sync::mpsc;

use super::Options;
use super::backoff::CONNECTION;
use super::bus::{self, Link};
use crate::facts;
use crate::settings::Settings;
use crate::state::Identity;

/// Asks until it is answered. A connection of its own, because a node's inbox is named after the node.
pub(crate) async fn register(
    servers: Vec<ServerAddr>,
    identity: &Identity,
    options: &Options,
    settings: &Settings,
) -> Result<NodeId, async_nats::ConnectError> {
    let (links, mut link_news) = mpsc::unbounded_channel();
    let client = bus::connect(servers, "boot", links).await?;
    let (mut link, mut failures) = (Link::Down, 0);
    loop {
        let wait = match link {
            Link::Up => match ask(&client, identity, options, settings).await {
                Some(node) => return Ok(node),
                None => {
                    failures += 1;
                    CONNECTION.wait(failures, rand::random())
                }
            },
            Link::Down => Duration::MAX,
        };
        // A connection that comes up is worth another try at once.
        if let Ok(Some(news)) = tokio::time::timeout(wait, link_news.recv()).await {
            link = news;
        }
    }
}

/// Asks once.
async fn ask(client: &Client, identity: &Identity, options: &Options, settings: &Settings) -> Option<NodeId> {
    let question = RegisterNodeRequest {
        machine_identity: identity.machine.clone(),
        as_new: false,
        name: options.name.clone(),
        tags: options.tags.clone().into_iter().collect(),
        facts: Some(facts::collect(settings)),
    };
    let subject = subject::api("Nodes", "RegisterNode");
    let answer: RegisterNodeResult = bus::call(client, subject, HeaderMap::new(), &question)
        .await
        .inspect_err(|error| tracing::warn!(%error, "cannot register yet"))
        .ok()?;
    match answer.node_id.parse() {
        Ok(node) => {
            tracing::info!(node = %node, existing = answer.existing, "registered");
            Some(node)
        }
        Err(error) => {
            tracing::error!(%error, "the service answered a registration with a strange node id");
            None
        }
    }
}
