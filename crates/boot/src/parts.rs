//! What a service stands on, and a service that runs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use muster_model::{Clock, SystemClock};
use muster_store::sqlx::migrate::Migrator;
use muster_store::{Db, StoreError};
use muster_wire::{CallMetrics, Mount, MountError, Mounted};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::{Common, NodeQuota, TaskFailure, Tasks, bus};

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
}

/// What a service is given when it starts.
#[derive(Debug)]
pub struct Parts {
    /// Name of this replica among the replicas of the service.
    pub replica: String,
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
    pub listener: TcpListener,
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
        let nats = bus::connect(name, &common.nats).await;
        let mut registry = Registry::default();
        let calls = CallMetrics::register(&mut registry);
        let (tasks, failures) = Tasks::new();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let node_quota = NodeQuota::new(&common.node_quota, Arc::clone(&clock), &mut registry);
        Ok(Self {
            replica: replica_name(&common.replica),
            nats,
            db,
            clock,
            registry: Arc::new(Mutex::new(registry)),
            calls,
            node_quota,
            listener,
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

    /// Serves the services that `add` puts on the mount, on all surfaces.
    ///
    /// # Errors
    /// If the bus refuses the endpoints.
    pub async fn serve(self, add: impl FnOnce(Mount) -> Mount) -> Result<Running, MountError> {
        let extra = plain_routes(&self.nats, &self.registry);
        warn_of_strangers(&self.listener);
        let mounted = add(Mount::new(self.nats.clone(), self.calls))
            .start(self.listener, extra)
            .await?;
        Ok(Running {
            address: mounted.address(),
            mounted: Some(mounted),
            tasks: self.tasks,
            failures: self.failures,
            db: self.db,
        })
    }
}

/// Says loudly that a port which asks nobody who they are can be reached from elsewhere.
fn warn_of_strangers(listener: &TcpListener) {
    if let Ok(address) = listener.local_addr()
        && !address.ip().is_loopback()
    {
        tracing::warn!(
            %address,
            "THE GRPC PORT IS OPEN TO EVERYBODY WHO REACHES IT: calls by gRPC are not authenticated, and this is no \
             loopback address. Listen on 127.0.0.1, or keep others away from the network"
        );
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

/// `/metrics`, `/healthz` and `/readyz`.
pub fn plain_routes(nats: &Client, registry: &Arc<Mutex<Registry>>) -> Router {
    let registry = Arc::clone(registry);
    let nats = nats.clone();
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || async move {
                match nats.connection_state() {
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
        if tokio::time::timeout(grace, self.tasks.stop()).await.is_err() {
            tracing::warn!("tasks were still running when the grace ended");
        }
        if let Some(db) = self.db {
            db.close().await;
        }
    }
}
