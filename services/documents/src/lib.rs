//! Documents: the named, versioned texts that say what to run (spec: documents).
//!
//! - `api`: the operations, from the contract to the domain and back.
//! - `domain`: names, versions, filters, sharing; pure. What a content means is in `muster-document`.
//! - `store`: the queries.
//! - `work`: attachments that are fetched and removed; documents for nodes that ask; news of what changed.
//!
//! Built-in documents are brought up to date at each start.

mod api;
mod config;
mod domain;
mod error;
mod store;
mod work;

use std::sync::Arc;

use muster_boot::{BoxError, Database, Deciding, Parts, ResourceTags, Running};
use muster_model::Clock;
use muster_proto::documents::v1::document_tags_server::DocumentTagsServer;
use muster_proto::documents::v1::document_validation_server::DocumentValidationServer;
use muster_proto::documents::v1::documents_server::DocumentsServer;
use muster_store::sqlx::migrate::Migrator;
use muster_store::{Db, Pager};
use tokio::sync::Notify;

pub use config::Settings;

use crate::api::{DocumentsApi, TagsApi, ValidationApi};
use crate::domain::builtin;
use crate::store::write::{NewVersion, seed};

/// The embedded defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// How the tables come to be.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The tables of this service.
pub const DATABASE: Database = Database {
    schema: "documents",
    migrations: &MIGRATIONS,
};

/// The service before it runs.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Brings the built-in documents up to date and starts answering.
    ///
    /// # Errors
    /// If the database or the bus fails.
    pub async fn start(settings: Settings, parts: Parts) -> Result<Running, BoxError> {
        let db = parts.database();
        seed_all(&db, parts.clock.as_ref()).await?;
        let pager = Pager::of(&db).await?;
        let tags = Arc::new(TagsApi::new(db.clone(), parts.account.clone()));
        let deciding = Deciding {
            tags: Some(Arc::clone(&tags) as Arc<dyn ResourceTags>),
            authority: None,
        };
        let wake = Arc::new(Notify::new());
        work::fetcher::start(&parts, &settings, db.clone(), Arc::clone(&wake))?;
        let documents = Arc::new(DocumentsApi::new(settings.clone(), &parts, db, pager, wake));
        work::lender::start(&parts, &settings, Arc::clone(&documents)).await?;
        let running = parts
            .serve_deciding(deciding, |mount| {
                mount
                    .add(DocumentsServer::from_arc(documents))
                    .add(DocumentTagsServer::from_arc(tags))
                    .add(DocumentValidationServer::new(ValidationApi))
            })
            .await?;
        Ok(running)
    }
}

async fn seed_all(db: &Db, clock: &dyn Clock) -> Result<(), BoxError> {
    for document in builtin::ALL {
        let new = NewVersion {
            draft: document.draft()?,
            version_name: None,
            display_name: None,
            target_type: document.target_type().map(str::to_owned),
            created_at: clock.now().as_microsecond(),
        };
        if !seed(db, document.name, document.document_type, &new).await? {
            tracing::warn!(
                document = document.name,
                "a user's document has the name of a built-in one; it stays"
            );
        }
    }
    Ok(())
}
