//! The first contact: a machine becomes a node (agent.md B8).

use std::time::Duration;

use async_nats::{Client, HeaderMap, ServerAddr};
use muster_model::NodeId;
use muster_proto::fleet::v1::{RegisterNodeRequest, RegisterNodeResult};
use muster_wire::subject;
use tokio::sync::mpsc;

use super::backoff::CONNECTION;
use super::bus::{self, Link};
use super::network::Changes;
use super::reconnect::REFUSED;
use crate::facts;
use crate::report::Report;
use crate::settings::Settings;
use crate::state::{Identity, StateDir};

/// Asks until it is answered. A connection of its own, because a node's inbox is named after the node.
pub(crate) async fn register(
    servers: Vec<ServerAddr>,
    changes: Changes,
    identity: &Identity,
    state: &StateDir,
    settings: &Settings,
) -> Result<NodeId, async_nats::ConnectError> {
    let (links, mut link_news) = mpsc::unbounded_channel();
    let client = bus::connect(servers, &settings.nats, "boot", links, changes).await?;
    let (mut link, mut failures) = (Link::Down, 0);
    loop {
        let wait = match link {
            Link::Up => match ask(&client, identity, settings).await {
                Ok(node) => return Ok(node),
                Err(true) => {
                    note(
                        state,
                        settings,
                        link,
                        Some("the service does not register this machine"),
                    );
                    REFUSED.mul_f64(0.9 + 0.2 * rand::random::<f64>())
                }
                Err(false) => {
                    failures += 1;
                    CONNECTION.wait(failures, rand::random())
                }
            },
            Link::Down | Link::Refused => Duration::MAX,
        };
        // A connection that comes up is worth another try at once.
        if let Ok(Some(news)) = tokio::time::timeout(wait, link_news.recv()).await {
            link = news;
            note(state, settings, link, None);
        }
    }
}

/// Says where we are, for `status`.
fn note(state: &StateDir, settings: &Settings, link: Link, refusal: Option<&str>) {
    let report = Report {
        pid: std::process::id(),
        version: facts::version().to_owned(),
        started_at: String::new(),
        server: bus::without_password(&settings.server),
        is_connected: link == Link::Up,
        refusal: refusal.map(str::to_owned),
        ..Report::default()
    };
    if let Err(error) = state.set_report(&report) {
        tracing::debug!(%error, "cannot write the status file");
    }
}

/// Asks once. `Err(true)`: it was refused for good, as far as anybody can tell today.
async fn ask(client: &Client, identity: &Identity, settings: &Settings) -> Result<NodeId, bool> {
    let question = RegisterNodeRequest {
        machine_identity: identity.machine.clone(),
        as_new: false,
        name: settings.name.clone(),
        tags: settings.tags.clone().into_iter().collect(),
        facts: Some(facts::collect(settings)),
        // Where a machine registers in this way nobody is asked for claims.
        public_key: String::new(),
    };
    let subject = subject::api("Nodes", "RegisterNode");
    let answer: RegisterNodeResult = bus::call(client, subject, HeaderMap::new(), &question)
        .await
        .map_err(|error| {
            let is_final = error.is_final();
            match is_final {
                true => tracing::error!(%error, "this machine is not registered and the service refuses it; asking again every 5 minutes"),
                false => tracing::warn!(%error, "cannot register yet"),
            }
            is_final
        })?;
    match answer.node_id.parse() {
        Ok(node) => {
            tracing::info!(node = %node, existing = answer.existing, "registered");
            Ok(node)
        }
        Err(error) => {
            tracing::error!(%error, "the service answered a registration with a strange node id");
            Err(false)
        }
    }
}
