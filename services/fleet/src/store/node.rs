//! Nodes as they are stored.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use muster_proto::agent::v1::NodeFacts;
use muster_store::{Column, Db, StoreError, json, read, transact};
use prost::Message;
use sqlx::FromRow;

/// A node that is managed.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct NodeRow {
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) registered_at: i64,
    pub(crate) last_ping: i64,
    facts: String,
}

impl NodeRow {
    /// What its agent last told.
    pub(crate) fn facts(&self) -> Result<NodeFacts, StoreError> {
        let bytes = STANDARD_NO_PAD.decode(&self.facts).map_err(StoreError::corrupt)?;
        NodeFacts::decode(bytes.as_slice()).map_err(StoreError::corrupt)
    }
}

/// Facts as text for the column.
pub(crate) fn encode(facts: &NodeFacts) -> String {
    STANDARD_NO_PAD.encode(facts.encode_to_vec())
}

const PAGE: &str = "
    select node_id, name, registered_at, last_ping, facts from node
    where deregistered_at is null and node_id > $1 order by node_id limit $2";
const BY_IDS: &str = "
    select n.node_id, n.name, n.registered_at, n.last_ping, n.facts
    from {rows} as r join node as n on n.node_id = r.node_id
    where n.deregistered_at is null order by n.node_id";

/// Managed nodes after this one, in the order of their ids.
pub(crate) async fn page(db: &Db, after: &str, limit: i64) -> Result<Vec<NodeRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(PAGE).bind(after).bind(limit).fetch_all(pool).await)?)
}

/// Those of these nodes that are managed, in the order of their ids.
pub(crate) async fn by_ids(db: &Db, ids: &[&str]) -> Result<Vec<NodeRow>, StoreError> {
    let rows: Vec<_> = ids.iter().map(|id| (id,)).collect();
    let (sql, rows) = (db.with_rows(BY_IDS, &[Column::Text("node_id")]), json(&rows));
    Ok(read!(db, pool => sqlx::query_as(sql).bind(&rows).fetch_all(pool).await)?)
}

/// Whether an id was ever given out.
pub(crate) async fn was_ever(db: &Db, id: &str) -> Result<bool, StoreError> {
    let sql = "select 1 from node where node_id = $1";
    let found: Option<i32> = read!(db, pool => sqlx::query_scalar(sql).bind(id).fetch_optional(pool).await)?;
    Ok(found.is_some())
}

/// Puts a node out: it is in no list any more and its tags are gone.
///
/// # Errors
/// `Missing` if it is not managed.
pub(crate) async fn deregister(db: &Db, id: &str, now: i64) -> Result<(), StoreError> {
    transact!(db, tx => {
        let sql = "
            update node set deregistered_at = $2, machine_identity = ''
            where node_id = $1 and deregistered_at is null";
        let gone = sqlx::query(sql).bind(id).bind(now).execute(&mut *tx).await?;
        if gone.rows_affected() == 0 {
            return Err(StoreError::Missing);
        }
        sqlx::query("delete from node_tag where node_id = $1").bind(id).execute(&mut *tx).await?;
        Ok(())
    })
}
