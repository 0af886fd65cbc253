//! What users read.

use std::collections::{BTreeMap, BTreeSet};

use muster_store::{Db, StoreError, read};

use super::row::VersionRow;
use crate::domain::version::{Selector, Which};

// 0 stands for the default version and -1 for the latest; NULL for any.
const ONE: &str = "
    select d.id as document_id, d.name, d.built_in, d.document_type, d.default_version, d.latest_version, v.version,
        v.version_name, v.created_at, v.format, v.display_name, v.target_type, v.hash, v.platforms, v.keywords,
        v.facts, v.content
    from document as d join document_version as v on v.document_id = d.id
    where d.name = $1
        and (cast($2 as bigint) is null or v.version = case
            when $2 = 0 then d.default_version when $2 = -1 then d.latest_version else $2 end)
        and (cast($3 as text) is null or v.version_name = $3)
    order by v.version desc limit 1";

// Contents stay where they are: a list does not show them.
const DEFAULTS: &str = "
    select d.id as document_id, d.name, d.built_in, d.document_type, d.default_version, d.latest_version, v.version,
        v.version_name, v.created_at, v.format, v.display_name, v.target_type, v.hash, v.platforms, v.keywords,
        v.facts, '' as content
    from document as d join document_version as v on v.document_id = d.id and v.version = d.default_version
    where d.name > $1 order by d.name limit $2";

const VERSIONS: &str = "
    select d.id as document_id, d.name, d.built_in, d.document_type, d.default_version, d.latest_version, v.version,
        v.version_name, v.created_at, v.format, v.display_name, v.target_type, v.hash, v.platforms, v.keywords,
        v.facts, '' as content
    from document as d join document_version as v on v.document_id = d.id
    where d.name = $1 and v.version < $2 order by v.version desc limit $3";

/// The version that is meant.
pub(crate) async fn version(db: &Db, name: &str, selector: &Selector) -> Result<Option<VersionRow>, StoreError> {
    let number = match (selector.which, &selector.name) {
        (Some(Which::Default), _) | (None, None) => Some(0),
        (Some(Which::Latest), _) => Some(-1),
        (Some(Which::Number(number)), _) => Some(number),
        (None, Some(_)) => None,
    };
    Ok(read!(db, pool => {
        sqlx::query_as(ONE).bind(name).bind(number).bind(&selector.name).fetch_optional(pool).await
    })?)
}

/// Whether there is a document of this name.
pub(crate) async fn exists(db: &Db, name: &str) -> Result<bool, StoreError> {
    let sql = "select 1 from document where name = $1";
    let found: Option<i32> = read!(db, pool => sqlx::query_scalar(sql).bind(name).fetch_optional(pool).await)?;
    Ok(found.is_some())
}

/// Default versions of the documents after this name, in the order of names.
pub(crate) async fn defaults(db: &Db, after: &str, limit: i64) -> Result<Vec<VersionRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(DEFAULTS).bind(after).bind(limit).fetch_all(pool).await)?)
}

/// Versions of a document below this number, newest first.
pub(crate) async fn versions(db: &Db, name: &str, below: i64, limit: i64) -> Result<Vec<VersionRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(VERSIONS).bind(name).bind(below).bind(limit).fetch_all(pool).await)?)
}

/// The tags of a document.
pub(crate) async fn tags(db: &Db, document_id: &str) -> Result<BTreeMap<String, String>, StoreError> {
    let sql = "select key, value from document_tag where document_id = $1 order by key";
    let tags: Vec<(String, String)> = read!(db, pool => sqlx::query_as(sql).bind(document_id).fetch_all(pool).await)?;
    Ok(tags.into_iter().collect())
}

/// With whom a document is shared, and which version of it.
pub(crate) async fn shares(db: &Db, document_id: &str) -> Result<BTreeMap<String, String>, StoreError> {
    let sql = "select account_id, shared_version from document_share where document_id = $1 order by account_id";
    let shares: Vec<(String, String)> = read!(db, pool => sqlx::query_as(sql).bind(document_id).fetch_all(pool).await)?;
    Ok(shares.into_iter().collect())
}

/// The documents that are shared with everybody.
pub(crate) async fn public(db: &Db) -> Result<BTreeSet<String>, StoreError> {
    let sql = "select document_id from document_share where account_id = 'all'";
    let ids: Vec<String> = read!(db, pool => sqlx::query_scalar(sql).fetch_all(pool).await)?;
    Ok(ids.into_iter().collect())
}
