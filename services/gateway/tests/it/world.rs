//! A bus, a service and the gateway.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use muster_boot::{Parts, Running, Tasks};
use muster_gateway::{Server, Settings};
use muster_harness::NatsServer;
use muster_model::ManualClock;
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
        let nats = NatsServer::start().await;
        let fake = Fake::new();
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let mut world = Self {
            gateway: gateway(&nats, &clock, seconds).await,
            service: None,
            nats,
            fake,
            clock,
        };
        world.mount().await;
        world
    }

    /// Puts the service on the bus.
    pub(crate) async fn mount(&mut self) {
        let metrics = CallMetrics::register(&mut Registry::default());
        let mount = Mount::new(self.nats.client().await, metrics);
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

async fn gateway(nats: &NatsServer, clock: &ManualClock, seconds: u64) -> Running {
    let mut registry = Registry::default();
    let calls = CallMetrics::register(&mut registry);
    let (tasks, failures) = Tasks::new();
    let parts = Parts {
        replica: "test".to_owned(),
        nats: nats.client().await,
        db: None,
        clock: Arc::new(clock.clone()),
        registry: Arc::new(Mutex::new(registry)),
        calls,
        listener: listener().await,
        tasks,
        failures,
    };
    let (_, settings) = muster_boot::load::<Settings>(muster_gateway::DEFAULTS, None).expect("the defaults");
    let settings = Settings {
        read_timeout_seconds: seconds,
        write_timeout_seconds: seconds,
        ..settings
    };
    Server::start(settings, parts).await.expect("the gateway starts")
}
