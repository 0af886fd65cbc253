//! The coordinator: the only part of Muster that sends work to nodes (DESIGN 4, schedules-and-rate-control 7).
//!
//! - `api`: the calls of owners.
//! - `contract`: from messages to the domain and back; parsed here, trusted afterwards.
//! - [`domain`]: who gets which work when; a pure step, and the laws that it must keep.
//! - `store`: what a batch writes in one transaction, leases, loading.
//! - `work`: the one task that decides, and those that hear and tell.

mod api;
mod config;
mod contract;
pub mod domain;
mod error;
mod store;
mod work;

use muster_boot::{BoxError, Database, Parts, Running};
use muster_proto::fanout::v1::fan_out_server::FanOutServer;
use muster_store::sqlx::migrate::Migrator;

pub use config::Settings;

use crate::api::Api;
use crate::work::Coordinator;

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
    /// Starts answering, and takes up what a former life left.
    ///
    /// # Errors
    /// If the database or the bus fails.
    pub async fn start(settings: Settings, parts: Parts) -> Result<Running, BoxError> {
        let coordinator = Coordinator::start(&settings, &parts).await?;
        work::sweeper::start(&parts, parts.database(), settings.retention());
        let api = Api::new(&settings, &parts, coordinator);
        Ok(parts.serve(|mount| mount.add(FanOutServer::new(api))).await?)
    }
}
