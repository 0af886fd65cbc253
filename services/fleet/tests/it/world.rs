//! A bus, fleet on a database of its own, and a clock that stands still.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use muster_boot::{Parts, Running};
use muster_credential::{Key, KeyKind, PublicKey};
use muster_fleet::{DATABASE, DEFAULTS, Registration, Server, Settings};
use muster_harness::{Folder, NatsServer, Postgres, write_private};
use muster_model::{Clock, ManualClock, NodeId, SignedDuration, Timestamp};
use muster_proto::agent::v1::{Heartbeat, HelloRequest, HelloResult, NodeFacts};
use muster_proto::aws::v1::Tag;
use muster_proto::fleet::v1::RegisterNodeRequest;
use muster_proto::fleet::v1::fleet_client::FleetClient;
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_proto::fleet::v1::tags_client::TagsClient;
use muster_wire::{Failure, NatsChannel, NatsStatus, Reason, subject};
use prost::Message;
use tonic::Status;
use tonic::transport::Channel;

/// When every test begins.
pub(crate) const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Declares a behaviour as two tests: the same calls by gRPC and by NATS.
macro_rules! by_both_surfaces {
    ($name:ident, |$world:ident, $clients:ident| $body:block) => {
        mod $name {
            use super::*;

            #[tokio::test]
            async fn by_grpc() {
                let $world = $crate::world::World::start().await;
                let mut $clients = $world.by_grpc().await;
                $body
                $world.end().await;
            }

            #[tokio::test]
            async fn by_nats() {
                let $world = $crate::world::World::start().await;
                let mut $clients = $world.by_nats();
                $body
                $world.end().await;
            }
        }
    };
}

/// Clients of fleet's three services.
pub(crate) struct Clients<C> {
    pub(crate) fleet: FleetClient<C>,
    pub(crate) nodes: NodesClient<C>,
    pub(crate) tags: TagsClient<C>,
}

pub(crate) struct World {
    /// A plain connection, for whatever a node or a listener does.
    pub(crate) nats: Client,
    pub(crate) clock: ManualClock,
    fleet: Mutex<Option<Running>>,
    settings: Settings,
    url: String,
    _folder: Folder,
    keys: Option<Folder>,
    _postgres: Option<Postgres>,
    server: NatsServer,
}

impl World {
    /// Where registration is open.
    pub(crate) async fn start() -> Self {
        Self::with(open()).await
    }

    /// As the settings are by default.
    pub(crate) async fn by_default() -> Self {
        let (_, settings): (_, Settings) = muster_boot::load(DEFAULTS, None).unwrap();
        Self::with(settings).await
    }

    /// Where a machine needs an activation, and gets credentials; it may choose tags.
    pub(crate) async fn guarded() -> Self {
        let (_, settings): (_, Settings) = muster_boot::load(DEFAULTS, None).unwrap();
        let keys = Folder::new("fleet-keys");
        let file = keys.join("nodes.seed");
        write_private(&file, Key::generate(KeyKind::Account).seed().expose()).unwrap();
        let authority = keys.join("ca.pem");
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        std::fs::write(&authority, certificate).unwrap();
        let settings = Settings {
            node_key_file: file.display().to_string(),
            node_account: Key::generate(KeyKind::Account).public().to_string(),
            machine_tags: true,
            node_servers: ["tls://bus.example:4222", "tls://other.example:4222"]
                .map(str::to_owned)
                .to_vec(),
            node_ca_file: authority.display().to_string(),
            ..settings
        };
        Self {
            keys: Some(keys),
            ..Self::with(settings).await
        }
    }

    /// Where copies are told of, and may go on.
    pub(crate) async fn lenient() -> Self {
        Self::with(Settings {
            quarantine_clones: false,
            ..open()
        })
        .await
    }

    /// With fleet looking at who is silent every second.
    pub(crate) async fn watchful() -> Self {
        Self::with(Settings {
            flush_seconds: 1,
            ..open()
        })
        .await
    }

    async fn with(settings: Settings) -> Self {
        let server = NatsServer::start().await;
        let folder = Folder::new("fleet");
        // SQLite is the default; the same behaviour on PostgreSQL where a server is at hand.
        let postgres = Postgres::start().await;
        let url = match &postgres {
            Some(postgres) => postgres.url(),
            None => format!("sqlite:{}", folder.join("fleet.db").display()),
        };
        let world = Self {
            nats: server.client().await,
            clock: ManualClock::at(START),
            fleet: Mutex::default(),
            settings,
            url,
            _folder: folder,
            keys: None,
            _postgres: postgres,
            server,
        };
        world.launch().await;
        world
    }

    async fn launch(&self) {
        let running = self.replica().await;
        *self.fleet.lock().unwrap() = Some(running);
    }

    /// Another fleet on the same tables; whoever has it stops it.
    pub(crate) async fn replica(&self) -> Running {
        let (mut common, _): (_, Settings) = muster_boot::load(DEFAULTS, None).unwrap();
        common.nats.url = self.server.url();
        common.database.url = self.url.clone();
        common.server.listen = "127.0.0.1:0".to_owned();
        let parts = Parts::assemble("muster-fleet", &common, Some(DATABASE));
        let mut parts = Box::pin(parts).await.unwrap();
        parts.clock = Arc::new(self.clock.clone());
        Box::pin(Server::start(self.settings.clone(), parts)).await.unwrap()
    }

    /// Stops fleet and starts it again on the same tables.
    pub(crate) async fn restart_fleet(&self) {
        self.stop_fleet().await;
        self.launch().await;
    }

    async fn stop_fleet(&self) {
        let fleet = self.fleet.lock().unwrap().take();
        fleet.expect("fleet runs").stop(Duration::from_secs(10)).await;
    }

    pub(crate) async fn end(self) {
        self.stop_fleet().await;
    }

    pub(crate) fn by_nats(&self) -> Clients<NatsChannel> {
        let channel = NatsChannel::new(self.nats.clone());
        Clients {
            fleet: FleetClient::new(channel.clone()),
            nodes: NodesClient::new(channel.clone()),
            tags: TagsClient::new(channel),
        }
    }

    pub(crate) async fn by_grpc(&self) -> Clients<Channel> {
        let address = self.fleet.lock().unwrap().as_ref().expect("fleet runs").address();
        let channel = Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Clients {
            fleet: FleetClient::new(channel.clone()),
            nodes: NodesClient::new(channel.clone()),
            tags: TagsClient::new(channel),
        }
    }

    /// The public half of the key that signs credentials.
    pub(crate) fn issuer(&self) -> PublicKey {
        let file = self
            .keys
            .as_ref()
            .expect("this world signs credentials")
            .join("nodes.seed");
        let seed = std::fs::read_to_string(file).unwrap();
        Key::from_seed(&seed, KeyKind::Account).unwrap().public().clone()
    }

    /// The time of the service's clock.
    pub(crate) fn second(&self) -> i64 {
        self.clock.now().as_second()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// Registers a machine with these tags.
    pub(crate) async fn register(&self, identity: &str, tags: &[(&str, &str)]) -> String {
        let answer = self.by_nats().nodes.register_node(registration(identity, tags)).await;
        answer.unwrap().into_inner().node_id
    }

    /// Says hello as a node does.
    pub(crate) async fn hello(&self, node: &str, facts: NodeFacts) -> Result<HelloResult, Refused> {
        let hello = HelloRequest {
            facts: Some(facts),
            ..HelloRequest::default()
        };
        self.hello_bytes(node, hello.encode_to_vec()).await
    }

    pub(crate) async fn hello_bytes(&self, node: &str, payload: Vec<u8>) -> Result<HelloResult, Refused> {
        let subject = format!("muster.v1.rpc.{node}.{}", subject::RPC_HELLO);
        let answer = self.nats.request(subject, payload.into()).await.unwrap();
        match answer.headers {
            None => Ok(HelloResult::decode(answer.payload).unwrap()),
            Some(headers) => Err(Refused::of(&headers)),
        }
    }

    /// A sign of life. Fleet hears it soon.
    pub(crate) async fn heartbeat(&self, node: &str) {
        let node: NodeId = node.parse().unwrap();
        let subject = subject::up(&node, subject::UP_HEARTBEAT);
        let heartbeat = Heartbeat::default().encode_to_vec();
        self.nats.publish(subject, heartbeat.into()).await.unwrap();
        self.nats.flush().await.unwrap();
    }
}

/// The settings of a bus that nobody else reaches.
fn open() -> Settings {
    let (_, settings): (_, Settings) = muster_boot::load(DEFAULTS, None).unwrap();
    Settings {
        registration: Registration::Open,
        ..settings
    }
}

/// What the headers of a refusal say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) word: String,
    pub(crate) code: String,
    pub(crate) text: String,
}

impl Refused {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).map(ToString::to_string).unwrap_or_default();
        Self {
            word: text(NatsStatus::REASON),
            code: text("Nats-Service-Error-Code"),
            text: text("Nats-Service-Error"),
        }
    }
}

pub(crate) fn registration(identity: &str, tags: &[(&str, &str)]) -> RegisterNodeRequest {
    RegisterNodeRequest {
        machine_identity: identity.to_owned(),
        name: format!("name of {identity}"),
        tags: pairs(tags),
        facts: Some(facts(identity)),
        ..RegisterNodeRequest::default()
    }
}

pub(crate) fn facts(identity: &str) -> NodeFacts {
    NodeFacts {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        platform_type: "Linux".to_owned(),
        platform_name: "Debian GNU/Linux".to_owned(),
        platform_version: "13".to_owned(),
        computer_name: format!("host-{identity}"),
        ip_address: "192.0.2.7".to_owned(),
        architecture: "x86_64".to_owned(),
        capabilities: vec!["interpolation-env-var".to_owned()],
        ..NodeFacts::default()
    }
}

pub(crate) fn pairs(tags: &[(&str, &str)]) -> HashMap<String, String> {
    tags.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn tags(tags: &[(&str, &str)]) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag {
            key: Some((*key).to_owned()),
            value: Some((*value).to_owned()),
        })
        .collect()
}

/// The word and the text of a refusal.
pub(crate) fn refusal(status: Status) -> (Reason, String) {
    match Failure::from(status) {
        Failure::Refused(refusal) => (refusal.reason, refusal.message),
        other => panic!("{other:?} is no refusal"),
    }
}
