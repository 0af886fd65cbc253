//! Changes. Each takes its turn, loads what is there, lets the domain decide, and writes.

use std::collections::BTreeSet;

use muster_document::DocumentType;
use muster_store::{Db, StoreError, transact};
use uuid::Uuid;

use super::read::VERSION;
use super::row::VersionRow;
use super::{Outcome, files, history, tag, take_turn};
use crate::domain::draft::{Draft, Facts};
use crate::domain::history::{Proposal, Removal, Seeding};
use crate::domain::share::Change;
use crate::domain::tag::Tags;
use crate::domain::version::{Selector, Which};
use crate::error::DocumentError;

/// A version on its way into the store.
#[derive(Debug, Clone)]
pub(crate) struct NewVersion {
    pub(crate) draft: Draft,
    pub(crate) version_name: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) target_type: Option<String>,
    pub(crate) created_at: i64,
}

/// Limits of a store of documents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quotas {
    pub(crate) documents: u32,
    pub(crate) versions: u32,
    pub(crate) shares: u32,
    pub(crate) public: u32,
}

const INSERT_DOCUMENT: &str = "
    insert into document (id, name, built_in, document_type, default_version, latest_version, last_version)
    values ($1, $2, $3, $4, 1, 1, 1)";
const INSERT_VERSION: &str = "
    insert into document_version (document_id, version, version_name, created_at, format, display_name, target_type,
        hash, identity, platforms, keywords, facts, content)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

/// Writes a version inside a transaction.
macro_rules! insert_version {
    ($tx:ident, $id:expr, $number:expr, $name:expr, $new:expr) => {
        sqlx::query(INSERT_VERSION)
            .bind($id)
            .bind($number)
            .bind(&$new.version_name)
            .bind($new.created_at)
            .bind($new.draft.format.as_str())
            .bind(&$new.display_name)
            .bind(&$new.target_type)
            .bind(&$new.draft.hash)
            .bind(&$new.draft.identity)
            .bind(&$new.draft.platforms)
            .bind($new.draft.keywords($name))
            .bind(facts(&$new.draft.facts))
            .bind(&$new.draft.content)
            .execute(&mut *$tx)
            .await?;
        if !$new.draft.facts.attachments.is_empty() {
            sqlx::query(files::INSERT)
                .bind($id)
                .bind($number)
                .bind($new.created_at)
                .execute(&mut *$tx)
                .await?;
        }
    };
}

fn facts(facts: &Facts) -> String {
    serde_json::to_string(facts).expect("plain texts have a JSON form")
}

/// Reads a version inside a transaction.
macro_rules! version {
    ($tx:ident, $id:expr, $number:expr) => {{
        let row: VersionRow = sqlx::query_as(VERSION)
            .bind($id)
            .bind($number)
            .fetch_one(&mut *$tx)
            .await?;
        row
    }};
}

/// Makes a document of a user.
pub(crate) async fn create(
    db: &Db,
    name: &str,
    document_type: DocumentType,
    new: &NewVersion,
    tags: &Tags,
    quotas: Quotas,
) -> Outcome<VersionRow> {
    let id = Uuid::new_v4().to_string();
    let tag_rows = tag::rows(&id, tags);
    transact!(db, tx => {
        take_turn!(tx);
        if history!(tx, name).is_some() {
            return Ok(Err(DocumentError::AlreadyExists { name: name.to_owned() }));
        }
        let count: i64 = sqlx::query_scalar("select count(*) from document where not built_in")
            .fetch_one(&mut *tx)
            .await?;
        if count >= i64::from(quotas.documents) {
            return Ok(Err(DocumentError::TooManyDocuments { limit: quotas.documents }));
        }
        sqlx::query(INSERT_DOCUMENT)
            .bind(&id)
            .bind(name)
            .bind(false)
            .bind(document_type.as_str())
            .execute(&mut *tx)
            .await?;
        insert_version!(tx, &id, 1_i64, name, new);
        sqlx::query(db.with_rows(tag::UPSERT, &tag::COLUMNS)).bind(&tag_rows).execute(&mut *tx).await?;
        Ok(Ok(version!(tx, &id, 1_i64)))
    })
}

/// Adds a version. What it does not say it takes over from the latest one.
///
/// `document_id` is the document for whose type the draft was read: another one of the same name, made in between,
/// does not get it.
pub(crate) async fn update(
    db: &Db,
    name: &str,
    document_id: &str,
    expected: Which,
    new: &NewVersion,
    quotas: Quotas,
) -> Outcome<VersionRow> {
    transact!(db, tx => {
        take_turn!(tx);
        let Some(history) = history!(tx, name).filter(|history| history.head.id == document_id) else {
            return Ok(Err(DocumentError::Missing { name: name.to_owned() }));
        };
        let proposal = Proposal {
            expected,
            version_name: new.version_name.as_deref(),
            format: new.draft.format,
            identity: &new.draft.identity,
        };
        let number = match history.add(&proposal, quotas.versions) {
            Ok(number) => number,
            Err(refused) => return Ok(Err(refused)),
        };
        let new = new.after(&version!(tx, document_id, history.head.latest_version))?;
        insert_version!(tx, document_id, number, name, new);
        sqlx::query("update document set latest_version = $2, last_version = $2 where id = $1")
            .bind(document_id)
            .bind(number)
            .execute(&mut *tx)
            .await?;
        Ok(Ok(version!(tx, document_id, number)))
    })
}

impl NewVersion {
    /// The same version with what it takes over from its predecessor.
    fn after(&self, latest: &VersionRow) -> Result<Self, StoreError> {
        let mut new = self.clone();
        new.display_name = new.display_name.or_else(|| latest.display_name.clone());
        new.target_type = new.target_type.or_else(|| latest.target_type.clone());
        new.draft.facts.requires = latest.facts()?.requires;
        Ok(new)
    }
}

/// Makes another version the default; gives its number and name.
pub(crate) async fn move_default(db: &Db, name: &str, which: Which) -> Outcome<(i64, Option<String>)> {
    transact!(db, tx => {
        take_turn!(tx);
        let Some(history) = history!(tx, name) else {
            return Ok(Err(DocumentError::Missing { name: name.to_owned() }));
        };
        let key = match history.move_default(which) {
            Ok(key) => key,
            Err(refused) => return Ok(Err(refused)),
        };
        sqlx::query("update document set default_version = $2 where id = $1")
            .bind(&history.head.id)
            .bind(key.version)
            .execute(&mut *tx)
            .await?;
        Ok(Ok((key.version, key.version_name.clone())))
    })
}

/// Deletes a document, or one of its versions; says which.
pub(crate) async fn delete(db: &Db, name: &str, selector: &Selector, force: bool) -> Outcome<Removal> {
    transact!(db, tx => {
        take_turn!(tx);
        let Some(history) = history!(tx, name) else {
            return Ok(Err(DocumentError::Missing { name: name.to_owned() }));
        };
        let id = &history.head.id;
        let shares: i64 = sqlx::query_scalar("select count(*) from document_share where document_id = $1")
            .bind(id)
            .fetch_one(&mut *tx)
            .await?;
        let removal = match history.remove(selector, shares > 0, force) {
            Ok(removal) => removal,
            Err(refused) => return Ok(Err(refused)),
        };
        match removal {
            Removal::Document => {
                sqlx::query("delete from document where id = $1").bind(id).execute(&mut *tx).await?;
            }
            Removal::Version { version, latest } => {
                sqlx::query("delete from document_version where document_id = $1 and version = $2")
                    .bind(id)
                    .bind(version)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query("update document set latest_version = $2 where id = $1")
                    .bind(id)
                    .bind(latest)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        Ok(Ok(removal))
    })
}

/// Changes with whom a document is shared.
pub(crate) async fn share(db: &Db, name: &str, change: &Change, version: &str, quotas: Quotas) -> Outcome<()> {
    transact!(db, tx => {
        take_turn!(tx);
        let Some(history) = history!(tx, name) else {
            return Ok(Err(DocumentError::Missing { name: name.to_owned() }));
        };
        if let Err(refused) = history.check_shared(version) {
            return Ok(Err(refused));
        }
        let id = &history.head.id;
        let present: Vec<String> = sqlx::query_scalar("select account_id from document_share where document_id = $1")
            .bind(id)
            .fetch_all(&mut *tx)
            .await?;
        let public = "select count(*) from document_share where account_id = 'all' and document_id <> $1";
        let public: i64 = sqlx::query_scalar(public).bind(id).fetch_one(&mut *tx).await?;
        let present: BTreeSet<String> = present.into_iter().collect();
        if let Err(refused) = change.check(&present, public, quotas.shares, quotas.public) {
            return Ok(Err(refused));
        }
        for account in &change.remove {
            sqlx::query("delete from document_share where document_id = $1 and account_id = $2")
                .bind(id)
                .bind(account)
                .execute(&mut *tx)
                .await?;
        }
        for account in &change.add {
            let sql = "
                insert into document_share (document_id, account_id, shared_version) values ($1, $2, $3)
                on conflict (document_id, account_id) do update set shared_version = excluded.shared_version";
            sqlx::query(sql).bind(id).bind(account).bind(version).execute(&mut *tx).await?;
        }
        Ok(Ok(()))
    })
}

/// Brings a built-in document to the content of this release; `false` if a user's document stands in its place.
pub(crate) async fn seed(
    db: &Db,
    name: &str,
    document_type: DocumentType,
    new: &NewVersion,
) -> Result<bool, StoreError> {
    let id = Uuid::new_v4().to_string();
    transact!(db, tx => {
        take_turn!(tx);
        let Some(history) = history!(tx, name) else {
            sqlx::query(INSERT_DOCUMENT)
                .bind(&id)
                .bind(name)
                .bind(true)
                .bind(document_type.as_str())
                .execute(&mut *tx)
                .await?;
            insert_version!(tx, &id, 1_i64, name, new);
            return Ok(true);
        };
        let id = &history.head.id;
        let (default, latest) = match history.seed(new.draft.format, &new.draft.identity) {
            Seeding::Occupied => return Ok(false),
            Seeding::Nothing => return Ok(true),
            Seeding::MoveDefault(number) => (number, history.head.latest_version),
            Seeding::Add(number) => {
                insert_version!(tx, id, number, name, new);
                (number, number)
            }
        };
        // Versions of built-in documents are never deleted: the latest is the last.
        sqlx::query("update document set default_version = $2, latest_version = $3, last_version = $3 where id = $1")
            .bind(id)
            .bind(default)
            .bind(latest)
            .execute(&mut *tx)
            .await?;
        Ok(true)
    })
}
