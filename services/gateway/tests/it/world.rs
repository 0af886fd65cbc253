//! A bus, a service and the gateway.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use muster_boot::{NodeQuota, Parts, Readiness, Running, ServerSettings, Tasks};
use muster_gateway::{AuthenticationMode, KeyCache, Server, Settings};
use muster_harness::{Anybody, NatsServer};
use muster_model::{Account, ManualClock};
use muster_proto::runcommand::v1::run_command_server::RunCommandServer;
use muster_wire::{CallMetrics, Mount, Mounted};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::client::{Call, Reply};
use crate::fake::Fake;

pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) fake: Arc<Fake>,
    pub(crate) clock: ManualClock,
    pub(crate) gateway: Running,
    pub(crate) service: Option<Mounted>,
}

impl World {
    /// With timeouts that no test reaches.
    pub(crate) async fn start() -> Self {
        Self::with_timeout(30).await
    }

    /// With so many seconds of patience for every operation.
    pub(crate) async fn with_timeout(seconds: u64) -> Self {
        let mut settings = defaults();
        settings.read_timeout_seconds = seconds;
        settings.write_timeout_seconds = seconds;
        Self::with(settings, Timestamp::UNIX_EPOCH, None).await
    }

    /// A gateway that verifies signatures with these keys; its clock stands at `now`.
    pub(crate) async fn signed(keys: &Arc<KeyCache>, now: Timestamp) -> Self {
        Self::signed_with(keys, now, |_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn signed_with(keys: &Arc<KeyCache>, now: Timestamp, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = defaults();
        settings.authentication = AuthenticationMode::Signature;
        change(&mut settings);
        Self::with(settings, now, Some(Arc::clone(keys))).await
    }

    async fn with(settings: Settings, now: Timestamp, keys: Option<Arc<KeyCache>>) -> Self {
        let nats = NatsServer::start().await;
        let clock = ManualClock::at(now);
        let parts = parts(&nats, &clock).await;
        let gateway = match keys {
            None => Server::start(settings, parts).await,
            Some(keys) => Server::start_with_keys(settings, parts, keys).await,
        };
        let mut world = Self {
            gateway: gateway.expect("the gateway starts"),
            service: None,
            nats,
            fake: Fake::new(),
            clock,
        };
        world.mount().await;
        world
    }

    /// Puts the service on the bus.
    pub(crate) async fn mount(&mut self) {
        let metrics = CallMetrics::register(&mut Registry::default());
        let mount = Mount::new(self.nats.client().await, metrics, Arc::new(Anybody::default()));
        let service = RunCommandServer::from_arc(Arc::clone(&self.fake));
        let listener = listener().await;
        let mounted = mount.add(service).start(listener, axum::Router::new()).await;
        self.service = Some(mounted.expect("the bus takes the service"));
    }

    /// Takes the service off the bus.
    pub(crate) async fn unmount(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop(Duration::from_secs(5)).await;
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    pub(crate) async fn send(&self, call: &Call) -> Reply {
        call.send(self.address()).await
    }

    /// Calls an operation as a real client does.
    pub(crate) async fn call(&self, operation: &str, body: &str) -> Reply {
        self.send(&Call::of(operation, body)).await
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

/// The default settings, with patience that no test reaches.
pub(crate) fn defaults() -> Settings {
    let (_, settings) = muster_boot::load::<Settings>(muster_gateway::DEFAULTS, None).expect("the defaults");
    Settings {
        read_timeout_seconds: 30,
        write_timeout_seconds: 30,
        ..settings
    }
}

/// What a gateway stands on.
pub(crate) async fn parts(nats: &NatsServer, clock: &ManualClock) -> Parts {
    let mut registry = Registry::default();
    let calls = CallMetrics::register(&mut registry);
    let (tasks, failures) = Tasks::new();
    let (common, _) = muster_boot::load::<Settings>(muster_gateway::DEFAULTS, None).expect("the defaults");
    let node_quota = NodeQuota::new(&common.node_quota, Arc::new(clock.clone()), &mut registry);
    Parts {
        readiness: Readiness::default(),
        node_quota,
        replica: "test".to_owned(),
        account: Account::default(),
        server: ServerSettings::loopback(),
        nats: nats.client().await,
        db: None,
        clock: Arc::new(clock.clone()),
        registry: Arc::new(Mutex::new(registry)),
        calls,
        listener: listener().await.into(),
        tasks,
        failures,
    }
}
