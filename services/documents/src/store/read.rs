//! What users read.

use std::collections::{BTreeMap, HashMap};

use muster_store::{Column, Db, StoreError, json, read};
use sqlx::FromRow;

use super::Outcome;
use super::row::{VersionRow, select_version, standing};
use crate::domain::review::Standing;
use crate::domain::tag::Tags;
use crate::domain::version::{Selector, Which};
use crate::error::DocumentError;

// Numbers of versions begin at 1; 0 stands for the default and -1 for the latest.
const MEANT_BY_NUMBER: &str = "
    select d.id, v.version, v.version_name, (select r.standing from document_review as r
        where r.document_id = d.id and r.version = v.version order by r.number desc limit 1) as standing
    from document as d left join document_version as v on v.document_id = d.id
        and v.version = case $2 when 0 then d.default_version when -1 then d.latest_version else $2 end
    where d.name = $1";

const MEANT_BY_NAME: &str = "
    select d.id, v.version, v.version_name, (select r.standing from document_review as r
        where r.document_id = d.id and r.version = v.version order by r.number desc limit 1) as standing
    from document as d left join document_version as v on v.document_id = d.id and v.version_name = $2
    where d.name = $1";

pub(crate) const VERSION: &str = select_version!("where d.id = $1 and v.version = $2");

const CONTENT: &str = "select content from document_version where document_id = $1 and version = $2";

const VERSIONS: &str = select_version!("where d.name = $1 and v.version < $2 order by v.version desc limit $3");

const TAGS: &str = "
    select t.document_id, t.key, t.value
    from {rows} as r join document_tag as t on t.document_id = r.document_id";

/// A version that is there. What it points to never changes, and is never something else later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pointer {
    pub(crate) document_id: String,
    pub(crate) version: i64,
}

/// What a selector means now, with what may change about it.
#[derive(Debug, Clone)]
pub(crate) struct Meant {
    pub(crate) pointer: Pointer,
    /// Where the version's review stands, if it has one.
    pub(crate) standing: Option<Standing>,
}

#[derive(FromRow)]
struct MeantRow {
    id: String,
    version: Option<i64>,
    version_name: Option<String>,
    standing: Option<String>,
}

/// The version that a selector means now.
pub(crate) async fn pointer(db: &Db, name: &str, selector: &Selector) -> Outcome<Pointer> {
    Ok(meant(db, name, selector).await?.map(|meant| meant.pointer))
}

/// The version that a selector means now. One indexed query: this is asked for every command that is sent.
pub(crate) async fn meant(db: &Db, name: &str, selector: &Selector) -> Outcome<Meant> {
    let number = match (selector.which, &selector.name) {
        (Some(Which::Number(number)), _) => Some(number),
        (Some(Which::Latest), _) => Some(-1),
        (Some(Which::Default), _) | (None, None) => Some(0),
        (None, Some(_)) => None,
    };
    let row: Option<MeantRow> = match number {
        Some(number) => read!(db, pool => {
            sqlx::query_as(MEANT_BY_NUMBER).bind(name).bind(number).fetch_optional(pool).await
        }),
        None => read!(db, pool => {
            sqlx::query_as(MEANT_BY_NAME).bind(name).bind(&selector.name).fetch_optional(pool).await
        }),
    }?;
    let Some(row) = row else {
        return Ok(Err(DocumentError::Missing { name: name.to_owned() }));
    };
    let agreed = selector.name.is_none() || row.version_name == selector.name;
    Ok(match row.version {
        Some(version) if agreed => Ok(Meant {
            pointer: Pointer {
                document_id: row.id,
                version,
            },
            standing: row.standing.as_deref().map(standing).transpose()?,
        }),
        _ => Err(missing_version(name, selector)),
    })
}

/// The version that a selector means now, without its content.
pub(crate) async fn find(db: &Db, name: &str, selector: &Selector) -> Outcome<VersionRow> {
    let pointer = match pointer(db, name, selector).await? {
        Ok(pointer) => pointer,
        Err(refused) => return Ok(Err(refused)),
    };
    // It may have been deleted in between.
    let row = version(db, &pointer).await?;
    Ok(row.ok_or_else(|| missing_version(name, selector)))
}

/// What a pointer points to, without its content; nothing if it was deleted.
pub(crate) async fn version(db: &Db, pointer: &Pointer) -> Result<Option<VersionRow>, StoreError> {
    Ok(read!(db, pool => {
        sqlx::query_as(VERSION).bind(&pointer.document_id).bind(pointer.version).fetch_optional(pool).await
    })?)
}

/// The content that a pointer points to; nothing if it was deleted.
pub(crate) async fn content(db: &Db, pointer: &Pointer) -> Result<Option<String>, StoreError> {
    Ok(read!(db, pool => {
        sqlx::query_scalar(CONTENT).bind(&pointer.document_id).bind(pointer.version).fetch_optional(pool).await
    })?)
}

/// Versions of a document below this number, newest first.
pub(crate) async fn versions(db: &Db, name: &str, below: i64, limit: i64) -> Result<Vec<VersionRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(VERSIONS).bind(name).bind(below).bind(limit).fetch_all(pool).await)?)
}

/// The tags of some documents, by document id; a document without tags is not in it.
pub(crate) async fn tags_of_all(db: &Db, document_ids: &[&str]) -> Result<HashMap<String, Tags>, StoreError> {
    let sql = db.with_rows(TAGS, &[Column::Text("document_id")]);
    let rows = json(&document_ids.iter().map(|id| (id,)).collect::<Vec<_>>());
    let rows: Vec<(String, String, String)> = read!(db, pool => sqlx::query_as(sql).bind(rows).fetch_all(pool).await)?;
    let mut tags: HashMap<String, Tags> = HashMap::new();
    for (document_id, key, value) in rows {
        tags.entry(document_id).or_default().insert(key, value);
    }
    Ok(tags)
}

/// The tags of a document.
pub(crate) async fn tags(db: &Db, document_id: &str) -> Result<Tags, StoreError> {
    let mut tags = tags_of_all(db, &[document_id]).await?;
    Ok(tags.remove(document_id).unwrap_or_default())
}

/// With whom a document is shared, and which version of it.
pub(crate) async fn shares(db: &Db, document_id: &str) -> Result<BTreeMap<String, String>, StoreError> {
    let sql = "select account_id, shared_version from document_share where document_id = $1 order by account_id";
    let shares: Vec<(String, String)> = read!(db, pool => sqlx::query_as(sql).bind(document_id).fetch_all(pool).await)?;
    Ok(shares.into_iter().collect())
}

fn missing_version(name: &str, selector: &Selector) -> DocumentError {
    DocumentError::MissingVersion {
        name: name.to_owned(),
        version: selector.to_string(),
    }
}
