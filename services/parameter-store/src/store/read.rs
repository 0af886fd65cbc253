//! What users read by name.

use std::collections::{BTreeSet, HashMap};

use muster_store::{Column, Db, StoreError, json, read};

use super::row::{HistoryRow, ValueRow, facts_columns, value_columns, value_json};
use crate::domain::asked::Selector;
use crate::domain::label::Labels;

/// Whatever is there of a parameter that was asked for.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Version(Box<ValueRow>),
    /// The parameter, and not the version or the label.
    NoVersion,
    Nothing,
}

// The plain way, which nearly everybody takes.
const LATEST: &str = concat!(
    "select ",
    value_columns!(),
    " from parameter as p
    join parameter_version as v on v.parameter_id = p.id and v.version = p.last_version
    where p.path = $1 and (p.expires_at is null or p.expires_at > $2)"
);
const VERSION: &str = concat!(
    "select ",
    value_columns!(),
    " from parameter as p
    join parameter_version as v on v.parameter_id = p.id and v.version = $3
    where p.path = $1 and (p.expires_at is null or p.expires_at > $2)"
);
const LABELLED: &str = concat!(
    "select ",
    value_columns!(),
    " from parameter as p
    join parameter_label as l on l.parameter_id = p.id and l.label = $3
    join parameter_version as v on v.parameter_id = p.id and v.version = l.version
    where p.path = $1 and (p.expires_at is null or p.expires_at > $2)"
);
const MANY: &str = concat!(
    "select ",
    value_columns!(),
    " from {rows} as r
    join parameter as p on p.path = r.path and (p.expires_at is null or p.expires_at > $2)
    join parameter_version as v on v.parameter_id = p.id and v.version = p.last_version"
);
const MANY_AS_ONE: &str = concat!(
    "select json_group_array(",
    value_json!(),
    ") from {rows} as r
    join parameter as p on p.path = r.path and (p.expires_at is null or p.expires_at > $2)
    join parameter_version as v on v.parameter_id = p.id and v.version = p.last_version"
);
const EXISTS: &str = "
    select count(*) from parameter as p where p.path = $1 and (p.expires_at is null or p.expires_at > $2)";

/// Finds a version of a parameter that is not just its latest one.
pub(crate) async fn selected(db: &Db, path: &str, selector: &Selector, now: i64) -> Result<Found, StoreError> {
    let row: Option<ValueRow> = match selector {
        Selector::Nothing => return Ok(Found::Nothing),
        Selector::Version(version) => read!(db, pool => {
            sqlx::query_as(VERSION).bind(path).bind(now).bind(version).fetch_optional(pool).await
        }),
        Selector::Label(label) => read!(db, pool => {
            sqlx::query_as(LABELLED).bind(path).bind(now).bind(label).fetch_optional(pool).await
        }),
    }?;
    if let Some(row) = row {
        return Ok(Found::Version(Box::new(row)));
    }
    let count: i64 = read!(db, pool => sqlx::query_scalar(EXISTS).bind(path).bind(now).fetch_one(pool).await)?;
    Ok(if count > 0 { Found::NoVersion } else { Found::Nothing })
}

/// Paths as rows, each once.
pub(super) fn distinct(paths: &[String]) -> Vec<(&str,)> {
    let distinct: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    distinct.into_iter().map(|path| (path,)).collect()
}

/// Finds the latest versions of parameters by their paths, in the order of the paths.
pub(crate) async fn latest(db: &Db, paths: &[String], now: i64) -> Result<Vec<Option<ValueRow>>, StoreError> {
    if let [path] = paths {
        let found = read!(db, pool => sqlx::query_as(LATEST).bind(path).bind(now).fetch_optional(pool).await)?;
        return Ok(vec![found]);
    }
    let (rows, columns) = (json(&distinct(paths)), [Column::Text("path")]);
    let found: Vec<ValueRow> = match db {
        // Each row of SQLite costs two changes of threads; one row with all of them in it costs two for all.
        Db::Sqlite(_) => {
            let sql = db.with_rows(MANY_AS_ONE, &columns);
            let all: String = read!(db, pool => sqlx::query_scalar(sql).bind(&rows).bind(now).fetch_one(pool).await)?;
            serde_json::from_str(&all).map_err(StoreError::corrupt)?
        }
        Db::Postgres(_) => {
            let sql = db.with_rows(MANY, &columns);
            read!(db, pool => sqlx::query_as(sql).bind(&rows).bind(now).fetch_all(pool).await)?
        }
    };
    let found: HashMap<String, ValueRow> = found.into_iter().map(|row| (row.path.clone(), row)).collect();
    Ok(paths.iter().map(|path| found.get(path).cloned()).collect())
}

const HISTORY: &str = concat!(
    "select ",
    facts_columns!(),
    ", v.value, v.ciphertext, v.key_provider, v.key_name, v.key_version, v.wrapped_key from parameter as p
    join parameter_version as v on v.parameter_id = p.id
    where p.id = $1 and v.version > $2 order by v.version limit $3"
);

/// Versions of a parameter above this one, oldest first.
pub(crate) async fn history(db: &Db, id: &str, above: i64, limit: i64) -> Result<Vec<HistoryRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(HISTORY).bind(id).bind(above).bind(limit).fetch_all(pool).await)?)
}

/// The id of the live parameter of a path.
pub(crate) async fn id(db: &Db, path: &str, now: i64) -> Result<Option<String>, StoreError> {
    let sql = "select p.id from parameter as p where p.path = $1 and (p.expires_at is null or p.expires_at > $2)";
    Ok(read!(db, pool => sqlx::query_scalar(sql).bind(path).bind(now).fetch_optional(pool).await)?)
}

/// The labels of a parameter.
pub(crate) async fn labels(db: &Db, id: &str) -> Result<Labels, StoreError> {
    let sql = "select label, version from parameter_label where parameter_id = $1";
    let rows: Vec<(String, i64)> = read!(db, pool => sqlx::query_as(sql).bind(id).fetch_all(pool).await)?;
    Ok(rows.into_iter().collect())
}
