//! Admits the local agents: registers their machines as nodes, and gives each the credentials of its node, signed by
//! the scoped key. What registration by activation does for other machines, this does for those of this process.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::Client;
use muster_agent::state::StateDir;
use muster_boot::BoxError;
use muster_credential::{Creds, Key, KeyKind};
use muster_proto::aws::v1::{ListTagsForResourceRequest, ResourceTypeForTagging};
use muster_proto::fleet::v1::RegisterNodeRequest;
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_proto::fleet::v1::tags_client::TagsClient;
use muster_wire::{Failure, NatsChannel, Reason, subject};

use super::error::UpError;
use crate::trust::{Keys, NODE_LIFE, write_private};

/// Credentials are renewed when half of their life is over.
const RENEWAL: Duration = Duration::from_secs(NODE_LIFE.unsigned_abs() / 2);
/// After a renewal that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// A machine that is to have an agent.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) tags: [(&'static str, String); 3],
    /// The agent's state directory.
    pub(super) home: PathBuf,
}

impl Machine {
    /// The node's credentials.
    pub(super) fn credentials(&self) -> PathBuf {
        self.home.join("nats.creds")
    }

    /// The node's key; a new one where it has none.
    fn key(&self) -> Key {
        let known = std::fs::read_to_string(self.credentials()).ok();
        let known = known.and_then(|text| Creds::parse(&text).ok());
        known.map_or_else(|| Key::generate(KeyKind::User), |creds| creds.key().clone())
    }

    fn error(&self, source: impl Into<BoxError>) -> UpError {
        UpError::Node {
            name: self.name.clone(),
            source: source.into(),
        }
    }
}

/// Registers machines and signs their credentials.
#[derive(Debug)]
pub(super) struct Clerk {
    nodes: NodesClient<NatsChannel>,
    tags: TagsClient<NatsChannel>,
    keys: Keys,
}

impl Clerk {
    pub(super) fn new(bus: Client, keys: Keys) -> Self {
        let channel = NatsChannel::new(bus);
        Self {
            nodes: NodesClient::new(channel.clone()),
            tags: TagsClient::new(channel),
            keys,
        }
    }

    /// Makes all of them nodes with good credentials. Machines that are nodes already stay the same nodes.
    pub(super) async fn admit(&mut self, machines: &[Machine]) -> Result<(), UpError> {
        for machine in machines {
            let key = machine.key();
            let registered = self.register(machine, &key).await;
            let node = registered.map_err(|error| machine.error(error))?;
            self.sign(machine, &node, key)
                .await
                .map_err(|error| machine.error(error))?;
        }
        Ok(())
    }

    /// Signs anew in time. Never ends.
    pub(super) async fn renew(&mut self, machines: &[Machine]) -> Infallible {
        let mut wait = RENEWAL;
        loop {
            tokio::time::sleep(wait).await;
            wait = match self.admit(machines).await {
                Ok(()) => RENEWAL,
                Err(error) => {
                    crate::print::say(&crate::complaint::chain(&error));
                    AGAIN
                }
            };
        }
    }

    async fn register(&mut self, machine: &Machine, key: &Key) -> Result<String, BoxError> {
        let state = StateDir::at(&machine.home);
        state.prepare()?;
        let mut identity = state.identity()?;
        if let Some(node) = &identity.node
            && machine.credentials().exists()
        {
            return Ok(node.to_string());
        }
        let request = RegisterNodeRequest {
            machine_identity: identity.machine.clone(),
            as_new: false,
            name: machine.name.clone(),
            tags: machine
                .tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
            facts: None,
            public_key: key.public().to_string(),
        };
        let node = self.nodes.register_node(request).await?.into_inner().node_id;
        identity.node = Some(node.parse()?);
        state.set_identity(&identity)?;
        Ok(node)
    }

    async fn sign(&mut self, machine: &Machine, node: &str, key: Key) -> Result<(), BoxError> {
        let request = ListTagsForResourceRequest {
            resource_type: Some(ResourceTypeForTagging::ManagedInstance.into()),
            resource_id: Some(node.to_owned()),
        };
        let tags = match self.tags.list_tags_for_resource(request).await {
            Ok(answer) => answer.into_inner().tag_list,
            // A node that was put out gets nothing new; what it has lasts until its agent was told so at its hello.
            Err(status) if is_not_there(&status) => return Ok(()),
            Err(status) => return Err(status.into()),
        };
        let hashes = tags.iter().map(|tag| subject::tag_hash(tag.key(), tag.value()));
        let creds = self.keys.node(node, hashes.collect(), key, NODE_LIFE)?;
        write_private(&machine.credentials(), creds.to_text().as_bytes())?;
        Ok(())
    }
}

fn is_not_there(status: &tonic::Status) -> bool {
    matches!(Failure::from_status(status), Failure::Refused(refusal) if refusal.reason == Reason::InvalidResourceId)
}
