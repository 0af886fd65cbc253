//! Tags of nodes.

use std::collections::BTreeMap;

use muster_proto::aws::v1::Tag;
use muster_store::{Column, Db, StoreError, json, read, transact};
use muster_wire::{Failure, Refusal};

use crate::domain::tag;
use crate::error::from_store;

const OF_NODE: &str = "select key, value from node_tag where node_id = $1 order by key";
const UPSERT: &str = "
    insert into node_tag (node_id, key, value) select r.node_id, r.key, r.value from {rows} as r where true
    on conflict (node_id, key) do update set value = excluded.value";
const COLUMNS: [Column; 3] = [Column::Text("node_id"), Column::Text("key"), Column::Text("value")];
const REMOVE: &str = "
    delete from node_tag where node_id = $2 and key in (select r.key from {rows} as r)";
// Takes the node's row, so that two changes at once do not add up to more tags than are allowed.
const LOCK: &str = "update node set name = name where node_id = $1 and deregistered_at is null";

/// A node's tags in the order of their keys.
pub(crate) async fn of_node(db: &Db, node: &str) -> Result<Vec<(String, String)>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(OF_NODE).bind(node).fetch_all(pool).await)?)
}

/// Adds tags. `false`: the node is not managed.
pub(crate) async fn add(db: &Db, node: &str, new: &[Tag]) -> Result<bool, Failure> {
    let outcome: Result<Result<bool, Refusal>, StoreError> = transact!(db, tx => {
        let found = sqlx::query(LOCK).bind(node).execute(&mut *tx).await?;
        if found.rows_affected() == 0 {
            return Ok(Ok(false));
        }
        let tags: Vec<(String, String)> = sqlx::query_as(OF_NODE).bind(node).fetch_all(&mut *tx).await?;
        let tags: BTreeMap<_, _> = tags.into_iter().collect();
        let tags = match tag::add(tags, new) {
            Ok(tags) => tags,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let rows: Vec<_> = tags.iter().map(|(key, value)| (node, key, value)).collect();
        sqlx::query(db.with_rows(UPSERT, &COLUMNS)).bind(json(&rows)).execute(&mut *tx).await?;
        Ok(Ok(true))
    });
    outcome.map_err(from_store)?.map_err(Failure::from)
}

/// Removes tags. `false`: the node is not managed.
pub(crate) async fn remove(db: &Db, node: &str, keys: &[String]) -> Result<bool, StoreError> {
    let rows: Vec<_> = keys.iter().map(|key| (key,)).collect();
    let (sql, rows) = (db.with_rows(REMOVE, &[Column::Text("key")]), json(&rows));
    transact!(db, tx => {
        let found = sqlx::query(LOCK).bind(node).execute(&mut *tx).await?;
        if found.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(sql).bind(&rows).bind(node).execute(&mut *tx).await?;
        Ok(true)
    })
}
