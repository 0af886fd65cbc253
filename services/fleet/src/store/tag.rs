//! Tags of nodes.

use std::collections::{BTreeMap, HashMap};

use muster_store::{Column, Db, StoreError, json, read, transact};

use crate::domain::tag::fits;

/// What became of a change of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is committed.
    Made,
    /// Everything was as wanted already.
    Idle,
    /// The node is not managed.
    Stranger,
    /// The node would have so many tags, which is more than it can have.
    TooMany(usize),
}

const COLUMNS: [Column; 3] = [Column::Text("node_id"), Column::Text("key"), Column::Text("value")];
// Takes the node's row, so that two changes at once do not add up to more tags than are allowed.
const LOCK: &str = "update node set revision = revision + 1 where node_id = $1 and deregistered_at is null";
const OTHERS: &str = "
    select count(*) from node_tag where node_id = $2 and key not in (select r.key from {rows} as r)";
const UPSERT: &str = "
    insert into node_tag (node_id, key, value) select r.node_id, r.key, r.value from {rows} as r where true
    on conflict (node_id, key) do update set value = excluded.value where node_tag.value <> excluded.value";
const OF_NODES: &str = "
    select t.node_id, t.key, t.value from {rows} as r join node_tag as t on t.node_id = r.node_id";
const REMOVE: &str = "
    delete from node_tag where node_id = $2 and key in (select r.key from {rows} as r)";

/// A node's tags; `None` if it is not managed.
pub(crate) async fn of_node(db: &Db, node_id: &str) -> Result<Option<BTreeMap<String, String>>, StoreError> {
    // One statement, so that a node that is put out meanwhile does not look like one without tags.
    let sql = "
        select t.key, t.value from node as n left join node_tag as t on t.node_id = n.node_id
        where n.node_id = $1 and n.deregistered_at is null";
    let rows: Vec<(Option<String>, Option<String>)> =
        read!(db, pool => sqlx::query_as(sql).bind(node_id).fetch_all(pool).await)?;
    if rows.is_empty() {
        return Ok(None);
    }
    Ok(Some(
        rows.into_iter().filter_map(|(key, value)| key.zip(value)).collect(),
    ))
}

/// The tags of many nodes, by node; one without tags is not in it.
pub(crate) async fn of_nodes(
    db: &Db,
    node_ids: &[&str],
) -> Result<HashMap<String, HashMap<String, String>>, StoreError> {
    let sql = db.with_rows(OF_NODES, &[Column::Text("node_id")]);
    let ids = json(&node_ids.iter().map(|id| (id,)).collect::<Vec<_>>());
    let rows: Vec<(String, String, String)> = read!(db, pool => sqlx::query_as(sql).bind(&ids).fetch_all(pool).await)?;
    let mut tags: HashMap<String, HashMap<String, String>> = HashMap::new();
    for (node, key, value) in rows {
        tags.entry(node).or_default().insert(key, value);
    }
    Ok(tags)
}

/// Sets tags; the others stay.
pub(crate) async fn add(db: &Db, node_id: &str, tags: &BTreeMap<String, String>) -> Result<Change, StoreError> {
    let rows: Vec<_> = tags.iter().map(|(key, value)| (node_id, key, value)).collect();
    let rows = json(&rows);
    transact!(db, tx => {
        if sqlx::query(LOCK).bind(node_id).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(Change::Stranger);
        }
        let sql = db.with_rows(OTHERS, &COLUMNS);
        let others: i64 = sqlx::query_scalar(sql).bind(&rows).bind(node_id).fetch_one(&mut *tx).await?;
        let all = tags.len() + usize::try_from(others).unwrap_or_default();
        if fits(all).is_err() {
            return Ok(Change::TooMany(all));
        }
        let sql = db.with_rows(UPSERT, &COLUMNS);
        let written = sqlx::query(sql).bind(&rows).execute(&mut *tx).await?.rows_affected();
        Ok(made(written))
    })
}

/// Removes tags; a key that is not there is no error.
pub(crate) async fn remove(db: &Db, node_id: &str, keys: &[String]) -> Result<Change, StoreError> {
    let rows: Vec<_> = keys.iter().map(|key| (key,)).collect();
    let rows = json(&rows);
    transact!(db, tx => {
        if sqlx::query(LOCK).bind(node_id).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(Change::Stranger);
        }
        let sql = db.with_rows(REMOVE, &[Column::Text("key")]);
        let removed = sqlx::query(sql).bind(&rows).bind(node_id).execute(&mut *tx).await?.rows_affected();
        Ok(made(removed))
    })
}

fn made(rows: u64) -> Change {
    match rows {
        0 => Change::Idle,
        _ => Change::Made,
    }
}
