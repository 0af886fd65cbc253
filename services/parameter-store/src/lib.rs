//! Parameters: named values with versions, plain or encrypted (spec: parameter-store).
//!
//! - `api`: the operations, from the contract to the domain and back.
//! - `domain`: names, values, tiers, policies, labels, filters, and what a put makes of a parameter; pure.
//! - `secret`: how SecureStrings are encrypted, and who holds the keys.
//! - `store`: the queries. Writers take turns; many puts make one transaction.
//! - `work`: what goes together in groups, events, timers of policies, data keys that are wrapped anew, values for nodes.
//!
//! A value is never in a log, an event or an error, and an encrypted one is never in the tables in clear.

mod api;
mod config;
mod domain;
mod error;
mod secret;
mod store;
mod work;

use std::sync::Arc;

use muster_boot::{BoxError, Database, Deciding, Parts, ResourceTags, Running};
use muster_proto::parameterstore::v1::parameter_store_server::ParameterStoreServer;
use muster_proto::parameterstore::v1::parameter_tags_server::ParameterTagsServer;
use muster_proto::parameterstore::v1::parameter_watch_server::ParameterWatchServer;
use muster_proto::settings::v1::settings_server::SettingsServer;
use muster_store::Pager;
use muster_store::sqlx::migrate::Migrator;

pub use config::{Settings, SettingsError};
pub use secret::{AwsKmsSettings, KeyFileError, ProviderKind, VaultTransitSettings};

use crate::api::{ParametersApi, SettingsApi, TagsApi, WatchApi};
use crate::domain::scope::Scope;
use crate::secret::Keys;
use crate::store::put::Ground;
use crate::work::{Groups, Publisher};

/// The embedded defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// How the tables come to be.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The tables of this service.
pub const DATABASE: Database = Database {
    schema: "parameter_store",
    migrations: &MIGRATIONS,
};

/// The service before it runs.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Opens the key file, or makes it at the first start, and starts answering.
    ///
    /// # Errors
    /// If the settings cannot be used, the key file lacks a key that the tables need, or the database or the bus fails.
    pub async fn start(settings: Settings, parts: Parts) -> Result<Running, BoxError> {
        settings.validate()?;
        let db = parts.database();
        store::prepare(&db).await?;
        let scope = Scope::from(&parts.account);
        let needed = store::key::in_use(&db).await?;
        let keys = Arc::new(Keys::set_up(&settings, &scope, &needed)?);
        let ground = Ground {
            scope: scope.clone(),
            default_tier: settings.tier()?,
            max_standard: settings.max_standard.into(),
            max_advanced: settings.max_advanced.into(),
        };
        let publisher = Publisher::start(&parts, db.clone());
        let groups = Groups::start(&parts, &db, &ground, &publisher);
        work::timers::start(&parts, db.clone(), scope.clone(), publisher.clone());
        work::rewrapper::start(
            &parts,
            db.clone(),
            scope.clone(),
            Arc::clone(&keys),
            settings.rewraps_per_second,
        );
        let tags = Arc::new(TagsApi::new(db.clone(), scope, Arc::clone(&parts.clock)));
        let deciding = Deciding {
            tags: Some(Arc::clone(&tags) as Arc<dyn ResourceTags>),
            authority: None,
        };
        let pager = Pager::of(&db).await?;
        let service_settings = SettingsApi::new(
            db.clone(),
            ground.scope.clone(),
            Arc::clone(&parts.clock),
            ground.default_tier,
        );
        let watch = WatchApi::new(parts.nats.clone(), parts.tasks.stopping());
        let parameters = ParametersApi::new(&parts, db, pager, ground, keys, groups, publisher);
        let parameters = Arc::new(parameters.checking_each(settings.bypath_per_parameter_check));
        let for_nodes = (Arc::clone(&parameters), Arc::clone(&tags) as Arc<dyn ResourceTags>);
        work::lender::start(&parts, &settings, for_nodes.0, for_nodes.1).await?;
        let running = parts
            .serve_deciding(deciding, |mount| {
                mount
                    .add(ParameterStoreServer::from_arc(parameters))
                    .add(ParameterTagsServer::from_arc(tags))
                    .add(ParameterWatchServer::new(watch))
                    .add(SettingsServer::new(service_settings))
            })
            .await?;
        Ok(running)
    }
}
