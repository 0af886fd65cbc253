//! The coordinator: the only part of Muster that sends work to nodes (DESIGN 4).
//!
//! An owner, such as run-command, hands over a rollout: a piece of work, an ordered list of nodes, limits and a
//! deadline. The coordinator decides who gets it when, sees that it arrives, and tells the owner of each transition.
//!
//! - `domain`: the rules, as one pure function over events.
//! - `contract`: between messages and domain.
//! - `api`: `StartRollout`, `CancelRollout`, `GetRollout`.
//! - `store`: the queries.
//! - `work`: the loop around the rules, the bus, the owners, the other replicas.
//!
//! What is not here: this service does not know what the work is, resolves no targets and keeps no outputs.

mod api;
mod config;
mod contract;
pub mod domain;
mod error;
mod store;
mod work;

pub use contract::read_history_page;

use muster_boot::{BoxError, Database, Parts, Running};
use muster_proto::fanout::v1::fan_out_server::FanOutServer;
use muster_store::sqlx::migrate::Migrator;

pub use config::Settings;

use crate::api::Api;
use crate::work::{Coordinator, Delivery, Listener, Metrics, Peers, Seal};

/// The embedded defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// How the tables come to be.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The tables of this service.
pub const DATABASE: Database = Database {
    schema: "fan_out",
    migrations: &MIGRATIONS,
};

/// The service before it runs.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts answering, and goes on with the rollouts that a former life has left.
    ///
    /// # Errors
    /// If the bus fails, or the keys that sign work cannot be used.
    pub async fn start(settings: Settings, parts: Parts) -> Result<Running, BoxError> {
        let metrics = Metrics::register(&parts);
        let seal = Seal::open(&settings.work_keys_folder, parts.clock.now())?;
        let delivery = Delivery::new(parts.nats.clone());
        // Names this life of the replica: what a former one held must be taken over like anybody else's.
        let holder = uuid::Uuid::new_v4().simple().to_string();
        let peers = Peers::start(&parts, delivery.clone());
        // Before anything is sent somebody must listen to the answers.
        let listener = Listener::start(&parts, &delivery, &holder).await?;
        let (coordinator, inputs, received) =
            Coordinator::new(&settings, &parts, (delivery, seal), peers, holder, metrics);
        let hearing = listener.listen(&parts.tasks, &inputs);
        coordinator.start(&parts, received, hearing);
        work::sweeper::start(&parts, parts.database(), settings.retention());
        let api = Api::new(&settings, &parts, inputs);
        let running = parts.serve(|mount| mount.add(FanOutServer::new(api))).await?;
        Ok(running)
    }
}
