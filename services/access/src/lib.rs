//! Access: users, groups, roles, access keys and policies; what they decide; the audit log (aws-json-gateway 6, 7).
//!
//! - `api`: `Access` for people, `Decisions` for the other services, `Audit`.
//! - `domain`: names and ARNs, secrets, signing keys, the chain of the audit log; pure. What policies mean is in
//!   `muster-policy`.
//! - `store`: the queries.
//! - `work`: telling what changed, writing the audit log in groups and removing what is too old, when access keys were used.
//! - [`bootstrap`]: the first access key. `first_admin`: the first user who may do everything. [`offline`]: the audit log without a service. `key_file`: what encrypts.
//!
//! A decision is made by whoever serves the call, with `muster-policy`, from what [`Decisions`] answers; the answers may
//! be kept for five seconds.
//!
//! [`Decisions`]: muster_proto::access::v1::decisions_server::Decisions

mod api;
pub mod bootstrap;
mod config;
mod domain;
mod error;
mod first_admin;
mod key_file;
pub mod offline;
mod store;
mod work;

use std::sync::Arc;
use std::time::Duration;

use muster_boot::{Authority, BoxError, Database, Deciding, Parts, Running};
use muster_proto::access::v1::access_server::AccessServer;
use muster_proto::access::v1::audit_server::AuditServer;
use muster_proto::access::v1::decisions_server::DecisionsServer;
use muster_store::sqlx::migrate::Migrator;
use muster_store::{Db, Pager};

pub use config::{IdentityProvider, Settings, SettingsError};
pub use domain::audit::{Entry, Fault, Hash, Link, Record, Verifier};
pub use domain::secret::Secret;
pub use key_file::KeyFileError;

use crate::api::{AccessApi, AuditApi, DecisionsApi, Pages};
use crate::key_file::KeyRing;
use crate::store::{access_key, audit};
use crate::work::{IdentityProviders, LastUsed, Recorder, Retention, Teller};

/// The embedded defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// How the tables come to be.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The tables of this service.
pub const DATABASE: Database = Database {
    schema: "access",
    migrations: &MIGRATIONS,
};

/// The service before it runs.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Opens the key file, or makes it at the first start, and starts answering.
    ///
    /// # Errors
    /// If the settings cannot be used, the key file is not the one that the tables need, or the database or the bus
    /// fails.
    pub async fn start(settings: Settings, parts: Parts) -> Result<Running, BoxError> {
        settings.validate()?;
        let db = parts.database();
        let keys = Arc::new(open_keys(&db, &settings.key_file).await?);
        let pages = Pages::new(Pager::of(&db).await?, Arc::clone(&parts.clock));
        let teller = Teller::start(&parts, db.clone(), (&parts.account).into());
        let recorder = Recorder::start(&parts, db.clone(), Arc::clone(&keys));
        let period = Duration::from_secs(settings.last_used_seconds.into());
        let last_used = LastUsed::start(&parts, db.clone(), period);
        if let Some(retention) = Retention::of_days(settings.audit_retention_days) {
            retention.start(&parts, db.clone(), Arc::clone(&keys), recorder.clone());
        }
        let providers = IdentityProviders::new(&settings.identity_providers)?;
        let decisions = DecisionsApi::new(&parts, db.clone(), Arc::clone(&keys), providers, recorder, last_used);
        let decisions = Arc::new(decisions);
        first_admin::make(&settings.first_admin, &parts, &db, &keys).await?;
        let audit = AuditApi::new(db.clone(), pages.clone(), Arc::clone(&keys));
        let access = AccessApi::new(settings, &parts, db, pages, keys, teller);
        // Calls of its own operations are decided like those of all others, without a way over the bus.
        let deciding = Deciding {
            authority: Some(Arc::clone(&decisions) as Arc<dyn Authority>),
            tags: None,
        };
        let running = parts
            .serve_deciding(deciding, |mount| {
                mount
                    .add(AccessServer::new(access))
                    .add(AuditServer::new(audit))
                    .add_on_bus(DecisionsServer::from_arc(decisions))
            })
            .await?;
        Ok(running)
    }
}

/// The keys that the tables need; the tables get the ends of an empty audit log if they have none.
async fn open_keys(db: &Db, path: &std::path::Path) -> Result<KeyRing, BoxError> {
    let needed = access_key::keys_in_use(db).await?;
    let keys = KeyRing::load(path, &needed)?;
    audit::prepare(db, &keys).await?;
    Ok(keys)
}
