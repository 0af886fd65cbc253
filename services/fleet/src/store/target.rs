//! Which nodes an expression means: one statement, however many expressions, values and nodes.

use std::collections::HashMap;

use muster_store::{Column, Db, StoreError, json, read};
use sqlx::FromRow;

use crate::domain::target::Criterion;

/// What a caller learns of a node that it may address.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct TargetRow {
    pub(crate) node_id: String,
    pub(crate) platform_type: String,
    pub(crate) platform_name: String,
    pub(crate) platform_version: String,
    pub(crate) computer_name: String,
    pub(crate) agent_version: String,
    pub(crate) capabilities: String,
}

#[derive(FromRow)]
struct NamedRow {
    #[sqlx(flatten)]
    target: TargetRow,
    is_gone: bool,
}

const NAMED: &str = "
    select n.node_id, n.platform_type, n.platform_name, n.platform_version, n.computer_name, n.agent_version,
        n.capabilities, n.deregistered_at is not null as is_gone
    from {rows} as r join node as n on n.node_id = r.node_id";

const EVERYTHING: &str = "
    select n.node_id, n.platform_type, n.platform_name, n.platform_version, n.computer_name, n.agent_version,
        n.capabilities
    from node as n where n.deregistered_at is null
    order by n.node_id";

// A node is meant if it is found once for each criterion. A row with a value asks for a tag, a row without one for a
// tag's key, a row without a key for a node. Only of several keys can a node have more than one.
const MATCHING: &str = "
    select n.node_id, n.platform_type, n.platform_name, n.platform_version, n.computer_name, n.agent_version,
        n.capabilities
    from node as n
    where n.deregistered_at is null and n.node_id in (
        select found.node_id from (
            select r.criterion, t.node_id from {rows} as r
                join node_tag as t on t.key = r.key and t.value = r.value
            union all
            select distinct r.criterion, t.node_id from {rows} as r
                join node_tag as t on t.key = r.key where r.value is null
            union all
            select r.criterion, r.value from {rows} as r where r.key is null
        ) as found
        group by found.node_id having count(*) = $2)
    order by n.node_id";
const CRITERIA_COLUMNS: [Column; 3] = [Column::BigInt("criterion"), Column::Text("key"), Column::Text("value")];

/// How a node that was asked for by name stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Managed(TargetRow),
    Deregistered,
    Unknown,
}

/// The nodes with these ids, in this order.
pub(crate) async fn named(db: &Db, ids: &[String]) -> Result<Vec<Named>, StoreError> {
    // A text with a NUL is no id, and PostgreSQL refuses even the question.
    let rows: Vec<_> = ids.iter().filter(|id| !id.contains('\0')).map(|id| (id,)).collect();
    let (sql, rows) = (db.with_rows(NAMED, &[Column::Text("node_id")]), json(&rows));
    let found: Vec<NamedRow> = read!(db, pool => sqlx::query_as(sql).bind(&rows).fetch_all(pool).await)?;
    let mut found: HashMap<String, Named> = found
        .into_iter()
        .map(|row| {
            let id = row.target.node_id.clone();
            match row.is_gone {
                true => (id, Named::Deregistered),
                false => (id, Named::Managed(row.target)),
            }
        })
        .collect();
    Ok(ids
        .iter()
        .map(|id| found.remove(id).unwrap_or(Named::Unknown))
        .collect())
}

/// All managed nodes, by id.
pub(crate) async fn everything(db: &Db) -> Result<Vec<TargetRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(EVERYTHING).fetch_all(pool).await)?)
}

/// The managed nodes for which all criteria hold, by id.
pub(crate) async fn matching(db: &Db, criteria: &[Criterion]) -> Result<Vec<TargetRow>, StoreError> {
    let mut rows: Vec<(usize, Option<&str>, Option<&str>)> = Vec::new();
    for (number, criterion) in criteria.iter().enumerate() {
        match criterion {
            Criterion::NodeId(ids) => rows.extend(ids.iter().map(|id| (number, None, Some(id.as_str())))),
            Criterion::Tag { key, values } => {
                rows.extend(
                    values
                        .iter()
                        .map(|value| (number, Some(key.as_str()), Some(value.as_str()))),
                );
            }
            Criterion::TagKey(keys) => rows.extend(keys.iter().map(|key| (number, Some(key.as_str()), None))),
        }
    }
    let wanted = i64::try_from(criteria.len()).unwrap_or(i64::MAX);
    let (sql, rows) = (db.with_rows(MATCHING, &CRITERIA_COLUMNS), json(&rows));
    Ok(read!(db, pool => sqlx::query_as(sql).bind(&rows).bind(wanted).fetch_all(pool).await)?)
}
