//! Fleet: the nodes, their tags and signs of life; turns target expressions into nodes (spec: fleet 1, 3, 4, 5).
//!
//! - `api`: one file per operation, from the contract to the domain and back.
//! - `domain`: what nodes tell, filters, ping status, tags, target expressions; pure.
//! - `store`: the queries.
//! - `work`: registering and letting in by groups, hellos in groups, heartbeats in memory.
//!
//! A node's identity is the token in the subject of its messages, never anything inside them.

mod api;
mod config;
mod domain;
mod error;
mod store;
mod work;

use std::sync::Arc;

use muster_boot::{BoxError, Database, Deciding, Parts, Running};
use muster_proto::fleet::v1::fleet_server::FleetServer;
use muster_proto::fleet::v1::nodes_server::NodesServer;
use muster_proto::fleet::v1::registrar_server::RegistrarServer;
use muster_proto::fleet::v1::tags_server::TagsServer;
use muster_store::sqlx::migrate::Migrator;
use muster_store::{Pager, Secret};

pub use config::{Registration, Settings, SettingsError};

use crate::api::{FleetApi, NodesApi, RegistrarApi, TagsApi, TagsOf};
use crate::work::desk::{self, Desk};
use crate::work::issuer::Issuer;
use crate::work::renewals::{self, Renewals};
use crate::work::welcome::Welcome;
use crate::work::{Admissions, Metrics, News, Pulse, Registrar};

/// The embedded defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// How the tables come to be.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The tables of this service.
pub const DATABASE: Database = Database {
    schema: "fleet",
    migrations: &MIGRATIONS,
};

/// The service before it runs.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts answering.
    ///
    /// # Errors
    /// If the settings contradict each other, or the database or the bus fails.
    pub async fn start(settings: Settings, parts: Parts) -> Result<Running, BoxError> {
        settings.validate()?;
        let db = parts.database();
        let (pager, secret) = (Pager::of(&db).await?, Secret::of(&db).await?);
        let metrics = Metrics::register(&parts);
        let news = News::new(&parts);
        let pulse = Arc::new(Pulse::new(db.clone(), news.clone()));
        work::pulse::start(&parts, settings.clone(), Arc::clone(&pulse), metrics.clone()).await?;
        work::greeter::start(&parts, db.clone(), &settings, news.clone(), metrics.clone()).await?;
        let admissions = Admissions::start(&parts, db.clone(), &settings, news.clone(), metrics.clone());
        let issuer = Issuer::open(&settings)?.map(Arc::new);
        let renewals = issuer.as_ref().map(|issuer| {
            let issuer = Arc::clone(issuer);
            Arc::new(Renewals::new(&parts, db.clone(), issuer, news.clone()))
        });
        if let Some(renewals) = &renewals {
            renewals::listen(&parts, Arc::clone(renewals)).await?;
        }
        let welcome = Welcome::open(&settings)?;
        let desk = Arc::new(Desk::new(&parts, &settings, welcome, admissions, issuer, renewals));
        desk::listen(&parts, Arc::clone(&desk)).await?;
        if settings.registration == Registration::Open {
            tracing::warn!(
                "registration is open: any machine that reaches the bus becomes a node; set registration = \"activation\" \
                 to ask for an activation"
            );
        }
        let registrar = Registrar::start(&parts, db.clone(), news.clone(), metrics.clone());
        let fleet = FleetApi::new(&parts, &settings, db.clone(), (pager, secret), pulse, news);
        let tags = TagsApi::new(db.clone(), parts.nats.clone(), settings.tag_i_nodes);
        let nodes = NodesApi::new(&parts, &settings, db.clone(), registrar, metrics);
        let deciding = Deciding {
            tags: Some(Arc::new(TagsOf::new(db, parts.nats.clone()))),
            authority: None,
        };
        let running = parts
            .serve_deciding(deciding, |mount| {
                mount
                    .add(FleetServer::new(fleet))
                    .add(TagsServer::new(tags))
                    .add(NodesServer::new(nodes))
                    .add(RegistrarServer::new(RegistrarApi::new(desk)))
            })
            .await?;
        Ok(running)
    }
}
