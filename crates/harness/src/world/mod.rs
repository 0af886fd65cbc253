//! The whole system in one process: every service with its own threads, a NATS server, simulated agents.
//!
//! It starts in a fraction of a second, its time can be a clock that the test turns, and each part can be killed and
//! started again.
//! What it does not show is what only processes can: signals, files of binaries, `kill -9` of a real agent; that is
//! done by the crate `muster-tests`.
//!
//! Services of a world call each other over the bus only, exactly as processes do.

mod service;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use muster_agent_sim::{Fleet, FleetSettings, Outcome, Script};
use muster_model::{Clock, SystemClock};
use muster_wire::NatsChannel;

use crate::{Folder, NatsServer, Postgres};
use service::{Ground, Life};

pub use service::Service;

/// More connections than one, so that a world also shows what only happens between them.
const CONNECTIONS: usize = 4;

/// What a world is to be; [`World::new`] gives one and [`Plan::start`] makes it so.
#[derive(Debug)]
pub struct Plan {
    agents: usize,
    tags: BTreeMap<String, String>,
    script: Script,
    clock: Arc<dyn Clock>,
    postgres: bool,
}

impl Plan {
    /// This many simulated agents; without it none.
    #[must_use]
    pub fn agents(mut self, count: usize) -> Self {
        self.agents = count;
        self
    }

    /// A tag that every agent has.
    #[must_use]
    pub fn tagged(mut self, key: &str, value: &str) -> Self {
        self.tags.insert(key.to_owned(), value.to_owned());
        self
    }

    /// What the agents do with work; without it they succeed at once.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// The clock of all services; the agents keep to the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Keeps the tables in PostgreSQL where a server is at hand (`MUSTER_TEST_POSTGRES`), else in SQLite as always.
    #[must_use]
    pub fn on_postgres(mut self) -> Self {
        self.postgres = true;
        self
    }

    /// Starts everything; when this returns every service answers and every agent would get work that is sent to it.
    ///
    /// # Panics
    /// If a part does not start.
    pub async fn start(self) -> World {
        let folder = Folder::new("world");
        let nats = NatsServer::start().await;
        let postgres = if self.postgres { Postgres::start().await } else { None };
        let ground = Ground {
            nats_url: nats.url(),
            database_url: postgres.as_ref().map(Postgres::url),
            folder: folder.path().to_owned(),
            clock: self.clock,
        };
        let mut world = World {
            agents: None,
            lives: BTreeMap::new(),
            ground,
            nats,
            _postgres: postgres,
            _folder: folder,
        };
        for service in Service::ALL {
            let life = Life::begin(service, &world.ground, None).await;
            world.lives.insert(service, life);
        }
        let settings = FleetSettings {
            nats_url: world.nats.url(),
            credentials: None,
            nodes: self.agents,
            connections: CONNECTIONS,
            name: "world".to_owned(),
            tags: self.tags,
            script: self.script,
        };
        let agents = Fleet::start(settings)
            .await
            .unwrap_or_else(|error| panic!("the simulated agents did not start: {error:?}"));
        world.agents = Some(agents);
        world
    }
}

/// Every service, a NATS server and simulated agents. Dropping it kills them.
#[derive(Debug)]
pub struct World {
    // Dropped in this order: agents, services, bus, database, folder.
    agents: Option<Fleet>,
    lives: BTreeMap<Service, Life>,
    ground: Ground,
    /// The bus; it can be killed and started again.
    pub nats: NatsServer,
    _postgres: Option<Postgres>,
    _folder: Folder,
}

impl World {
    /// A plan for a world with all services and no agents.
    #[expect(
        clippy::new_ret_no_self,
        reason = "`World::new().agents(50).start()` reads as what it does"
    )]
    #[must_use]
    pub fn new() -> Plan {
        Plan {
            agents: 0,
            tags: BTreeMap::new(),
            script: Script::always(Outcome::NOTHING),
            clock: Arc::new(SystemClock),
            postgres: false,
        }
    }

    /// A channel for the generated clients, over a connection of its own.
    pub async fn channel(&self) -> NatsChannel {
        NatsChannel::new(self.nats.client().await)
    }

    /// Where a service listens: gRPC, or AWS JSON for the gateway. The same after a restart.
    ///
    /// # Panics
    /// Never: all services of a world have been started.
    #[must_use]
    pub fn address(&self, service: Service) -> SocketAddr {
        self.lives[&service].address()
    }

    /// The simulated agents.
    ///
    /// # Panics
    /// Never: a world that was started has them, be there none.
    #[must_use]
    pub fn agents(&self) -> &Fleet {
        self.agents.as_ref().expect("a started world has agents")
    }

    /// Ends a service in the middle of whatever it does, as `kill -9` would.
    pub fn kill(&mut self, service: Service) {
        if let Some(life) = self.lives.get_mut(&service) {
            life.kill();
        }
    }

    /// Stops a service as SIGTERM does: calls under way are answered first.
    pub async fn stop(&mut self, service: Service) {
        if let Some(life) = self.lives.get_mut(&service) {
            life.stop().await;
        }
    }

    /// Starts a service again after [`World::kill`] or [`World::stop`], on its tables and at its address.
    pub async fn restart(&mut self, service: Service) {
        let address = self.address(service);
        let life = Life::begin(service, &self.ground, Some(address)).await;
        self.lives.insert(service, life);
    }
}
