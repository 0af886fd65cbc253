//! The first contact: a machine becomes a node (agent.md B8).

use async_nats::{HeaderMap, ServerAddr};
use muster_model::NodeId;
use muster_proto::fleet::v1::{RegisterNodeRequest, RegisterNodeResult};
use muster_wire::subject;
use tokio::sync::mpsc;

use super::backoff::CONNECTION;
use super::{Options, bus};
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
    let mut failures = 0;
    loop {
        let question = RegisterNodeRequest {
            machine_identity: identity.machine.clone(),
            as_new: false,
            name: options.name.clone(),
            tags: options.tags.clone().into_iter().collect(),
            facts: Some(facts::collect(settings)),
        };
        let subject = subject::api("Nodes", "RegisterNode");
        match bus::call::<RegisterNodeResult>(&client, subject, HeaderMap::new(), &question).await {
            Ok(answer) => match answer.node_id.parse() {
                Ok(node) => {
                    tracing::info!(node = %node, existing = answer.existing, "registered");
                    return Ok(node);
                }
                Err(error) => tracing::error!(%error, "the service answered a registration with a strange node id"),
            },
            Err(error) => tracing::warn!(%error, failures, "cannot register yet"),
        }
        failures += 1;
        let wait = CONNECTION.wait(failures, rand::random());
        // A connection that comes up is worth another try at once.
        while link_news.try_recv().is_ok() {}
        let _ = tokio::time::timeout(wait, link_news.recv()).await;
    }
}
