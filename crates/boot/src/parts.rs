//! What a service stands on, and a service that runs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use muster_model::{Account, Clock, SystemClock};
use muster_store::sqlx::migrate::Migrator;
use muster_store::{Db, StoreError};
use muster_wire::{CallMetrics, GrpcCallers, Mount, Mounted, Port};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::authorize::{BearerCache, Gate, Ledger};
use crate::bus::BusError;
use crate::{
    AccessOverBus, Authority, BoxError, Common, GrpcAuthentication, NodeQuota, ResourceTags, ServerSettings,
    TaskFailure, Tasks, TlsError, bus,
};

/// The tables of a service.
#[derive(Debug, Clone, Copy)]
pub struct Database {
    /// Name of the schema on PostgreSQL.
    pub schema: &'static str,
    /// How its tables come to be.
    pub migrations: &'static Migrator,
}

/// Why a service did not get what it stands on.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The port is taken, or the address is malformed.
    #[error("{address} cannot be listened on")]
    Listen {
        /// What was asked for.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database did not open.
    #[error("the database did not open")]
    Database(#[from] StoreError),
    /// The bus cannot be connected to as the settings say.
    #[error("the bus cannot be used")]
    Bus(#[from] BusError),
    /// The port cannot speak TLS as the settings say.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
}

/// Whether whoever spreads calls over replicas should send them here: `/readyz` says so.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says that this replica is about to stop.
    pub fn leave(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_leaving(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a service is given when it starts.
#[derive(Debug)]
pub struct Parts {
    /// Name of this replica among the replicas of the service.
    pub replica: String,
    /// What ARNs are made of.
    pub account: Account,
    /// Whom the port lets in.
    pub server: ServerSettings,
    /// The bus.
    pub nats: Client,
    /// The service's tables, if it has any.
    pub db: Option<Db>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where metrics are registered.
    pub registry: Arc<Mutex<Registry>>,
    /// Metrics of calls.
    pub calls: CallMetrics,
    /// What nodes may still ask.
    pub node_quota: NodeQuota,
    /// The bound port.
    pub listener: Port,
    /// Whether calls should still come here.
    pub readiness: Readiness,
    /// The service's tasks.
    pub tasks: Tasks,
    /// Hears of tasks that died.
    pub failures: mpsc::UnboundedReceiver<TaskFailure>,
}

impl Parts {
    /// Binds the port, opens the database and connects to the bus, in this order; waits for the bus.
    ///
    /// # Errors
    /// If the port or the database cannot be had.
    pub async fn assemble(name: &str, common: &Common, database: Option<Database>) -> Result<Self, BootError> {
        let tls = common.server.tls.server_config()?;
        let has_authority = !common.server.tls.client_ca.as_os_str().is_empty();
        if common.server.authentication == GrpcAuthentication::Certificate && !has_authority {
            return Err(TlsError::NoClientAuthority.into());
        }
        let listener = TcpListener::bind(&common.server.listen)
            .await
            .map_err(|source| BootError::Listen {
                address: common.server.listen.clone(),
                source,
            })?;
        let db = match database {
            Some(database) => Some(Db::open(&common.database.url, database.schema, database.migrations).await?),
            None => None,
        };
        let nats = bus::connect(name, &common.nats).await?;
        let mut registry = Registry::default();
        let calls = CallMetrics::register(&mut registry);
        let (tasks, failures) = Tasks::new();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let node_quota = NodeQuota::new(&common.node_quota, Arc::clone(&clock), &mut registry);
        Ok(Self {
            replica: replica_name(&common.replica),
            account: common.account.clone(),
            server: common.server.clone(),
            nats,
            db,
            clock,
            registry: Arc::new(Mutex::new(registry)),
            calls,
            node_quota,
            listener: match tls {
                Some(config) => Port::from(listener).encrypted(config),
                None => listener.into(),
            },
            readiness: Readiness::default(),
            tasks,
            failures,
        })
    }

    /// The service's tables.
    ///
    /// # Panics
    /// If the service was described without a database: a mistake in its `main`.
    #[must_use]
    pub fn database(&self) -> Db {
        self.db
            .clone()
            .expect("a service that asks for its tables was described with a database")
    }

    /// Serves the services that `add` puts on the mount, on all surfaces, to whom policies allow it.
    ///
    /// # Errors
    /// If the bus refuses the endpoints or the subscription to news of principals.
    pub async fn serve(self, add: impl FnOnce(Mount) -> Mount) -> Result<Running, BoxError> {
        self.serve_deciding(Deciding::default(), add).await
    }

    /// The same, where the service knows more for decisions than its requests say.
    ///
    /// # Errors
    /// As for [`Parts::serve`].
    pub async fn serve_deciding(
        self,
        deciding: Deciding,
        add: impl FnOnce(Mount) -> Mount,
    ) -> Result<Running, BoxError> {
        let extra = plain_routes(&self.nats, &self.registry, &self.readiness);
        admit(self.listener.address()?, self.listener.is_encrypted(), &self.server)?;
        let over_bus = || Arc::new(AccessOverBus::new(self.nats.clone())) as Arc<dyn Authority>;
        let authority = deciding.authority.unwrap_or_else(over_bus);
        let ledger = Ledger::start(Arc::clone(&authority), &self.tasks);
        let clock = Arc::clone(&self.clock);
        let bearers = Arc::new(BearerCache::new(Arc::clone(&authority)));
        let callers = match self.server.authentication {
            GrpcAuthentication::Development => GrpcCallers::Anybody,
            GrpcAuthentication::Bearer => GrpcCallers::Bearers(Arc::clone(&bearers) as _),
            GrpcAuthentication::Certificate => GrpcCallers::Certificates(self.account.clone()),
        };
        let gate = Gate::new(self.account, clock, authority, ledger.clone(), deciding.tags);
        gate.listen(Some(bearers), &self.nats, &self.tasks).await?;
        let mount = Mount::new(self.nats.clone(), self.calls, Arc::new(gate));
        let mounted = add(mount.know_by_grpc(callers)).start(self.listener, extra).await?;
        Ok(Running {
            ledger: Some(ledger),
            address: mounted.address(),
            mounted: Some(mounted),
            tasks: self.tasks,
            failures: self.failures,
            db: self.db,
        })
    }
}

/// What a service knows for decisions beyond what requests say.
#[derive(Debug, Default)]
pub struct Deciding {
    /// The tags of its resources.
    pub tags: Option<Arc<dyn ResourceTags>>,
    /// Who knows principals; without it, the service `access` over the bus.
    pub authority: Option<Arc<dyn Authority>>,
}

/// A port that others could reach, and that is not safe for that.
#[derive(Debug, thiserror::Error)]
#[error(
    "{address} is no loopback address, and calls by gRPC {danger}; listen on 127.0.0.1, or set \
     server.insecure_listen_anywhere if the network is private in itself{way_out}",
    danger = .authentication.danger(),
    way_out = .authentication.way_out()
)]
pub struct OpenToOthers {
    address: SocketAddr,
    authentication: GrpcAuthentication,
}

impl GrpcAuthentication {
    fn danger(self) -> &'static str {
        match self {
            Self::Development => "are not authenticated with server.authentication = \"development\"",
            Self::Bearer => "would carry secrets without TLS",
            Self::Certificate => "know nobody without TLS",
        }
    }

    fn way_out(self) -> &'static str {
        match self {
            Self::Development => ", or ask for bearers",
            Self::Bearer => " or a proxy that ends TLS stands in front, or set server.tls",
            Self::Certificate => ", or set server.tls",
        }
    }
}

/// Says loudly what it means that others can reach the port, or refuses.
fn admit(address: SocketAddr, is_encrypted: bool, settings: &ServerSettings) -> Result<(), OpenToOthers> {
    let is_safe = is_encrypted && settings.authentication != GrpcAuthentication::Development;
    match (address.ip().is_loopback() || is_safe, settings.insecure_listen_anywhere) {
        (true, _) => Ok(()),
        (false, false) => Err(OpenToOthers {
            address,
            authentication: settings.authentication,
        }),
        (false, true) => {
            let danger = settings.authentication.danger();
            tracing::warn!(
                %address,
                "INSECURE: the gRPC port is open to everybody who reaches it, because insecure_listen_anywhere is set: \
                 calls {danger}"
            );
            Ok(())
        }
    }
}

fn replica_name(configured: &str) -> String {
    if !configured.is_empty() {
        return configured.to_owned();
    }
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "replica".to_owned())
}

/// `/metrics`, `/healthz` and `/readyz`, for a router of any state.
pub fn plain_routes<S: Clone + Send + Sync + 'static>(
    nats: &Client,
    registry: &Arc<Mutex<Registry>>,
    readiness: &Readiness,
) -> Router<S> {
    let (registry, readiness) = (Arc::clone(registry), readiness.clone());
    let nats = nats.clone();
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || async move {
                match nats.connection_state() {
                    _ if readiness.is_leaving() => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
                    async_nats::connection::State::Connected => (StatusCode::OK, "ready\n"),
                    _ => (StatusCode::SERVICE_UNAVAILABLE, "the bus is away\n"),
                }
            }),
        )
        .route(
            "/metrics",
            get(move || async move {
                let mut text = String::new();
                let registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
                match prometheus_client::encoding::text::encode(&mut text, &registry) {
                    Ok(()) => Ok((
                        [(
                            header::CONTENT_TYPE,
                            "application/openmetrics-text; version=1.0.0; charset=utf-8",
                        )],
                        text,
                    )),
                    Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
                }
            }),
        )
}

/// A service that answers.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    mounted: Option<Mounted>,
    /// Decisions of the mounted services on their way into the audit log.
    ledger: Option<Ledger>,
    tasks: Tasks,
    failures: mpsc::UnboundedReceiver<TaskFailure>,
    db: Option<Db>,
}

impl Running {
    /// A service that serves its port by itself, in a task of `tasks`.
    #[must_use]
    pub fn without_mount(address: SocketAddr, tasks: Tasks, failures: mpsc::UnboundedReceiver<TaskFailure>) -> Self {
        Self {
            address,
            mounted: None,
            ledger: None,
            tasks,
            failures,
            db: None,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Full names of the gRPC services it answers.
    #[must_use]
    pub fn services(&self) -> &[&'static str] {
        self.mounted.as_ref().map_or(&[], Mounted::names)
    }

    /// Waits until one of its tasks dies unasked.
    pub async fn failed(&mut self) -> TaskFailure {
        match self.failures.recv().await {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    /// Takes no more calls, gives those under way `grace`, ends the tasks, closes the tables.
    pub async fn stop(self, grace: Duration) {
        if let Some(mounted) = self.mounted {
            mounted.stop(grace).await;
        }
        if let Some(ledger) = self.ledger {
            ledger.settle().await;
        }
        if tokio::time::timeout(grace, self.tasks.stop()).await.is_err() {
            tracing::warn!("tasks were still running when the grace ended");
        }
        if let Some(db) = self.db {
            db.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on_unless_the_settings_say_so() {
        use GrpcAuthentication::{Bearer, Certificate, Development};
        for authentication in [Development, Bearer, Certificate] {
            for insecure_listen_anywhere in [false, true] {
                let settings = ServerSettings {
                    authentication,
                    insecure_listen_anywhere,
                    ..ServerSettings::loopback()
                };
                let check = |address: &str| admit(address.parse().unwrap(), false, &settings).is_ok();
                assert!(check("127.0.0.1:1") && check("[::1]:1"));
                assert_eq!(check("0.0.0.0:1"), insecure_listen_anywhere);
                let is_safe = authentication != Development || insecure_listen_anywhere;
                assert_eq!(admit("0.0.0.0:1".parse().unwrap(), true, &settings).is_ok(), is_safe);
            }
        }
    }
}
