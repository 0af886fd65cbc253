//! Nodes as they are stored.

use muster_store::{Db, StoreError, read, transact};
use sqlx::FromRow;

/// A managed node.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct NodeRow {
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) registered_at: i64,
    pub(crate) activation_id: String,
    pub(crate) iam_role: String,
    pub(crate) agent_version: String,
    pub(crate) platform_type: String,
    pub(crate) platform_name: String,
    pub(crate) platform_version: String,
    pub(crate) computer_name: String,
    pub(crate) ip_address: String,
    pub(crate) architecture: String,
    pub(crate) availability_zone: String,
    /// As stored; heartbeats that are not written down yet are later.
    pub(crate) last_ping: i64,
}

/// When a managed node was last heard of, as stored; `None` if it is not managed.
pub(crate) async fn last_ping(db: &Db, node_id: &str) -> Result<Option<i64>, StoreError> {
    let sql = "select last_ping from presence where node_id = $1";
    Ok(read!(db, pool => sqlx::query_scalar(sql).bind(node_id).fetch_optional(pool).await)?)
}

/// The role of a managed node, empty if it has none; `None` if it is not managed.
pub(crate) async fn role(db: &Db, node_id: &str) -> Result<Option<String>, StoreError> {
    let sql = "select iam_role from node where node_id = $1 and deregistered_at is null";
    Ok(read!(db, pool => sqlx::query_scalar(sql).bind(node_id).fetch_optional(pool).await)?)
}

/// Puts a node out: it is in no list any more, its tags are gone, and its machine may register anew.
///
/// # Errors
/// `Missing` if it is not managed.
pub(crate) async fn deregister(db: &Db, node_id: &str, now: i64) -> Result<(), StoreError> {
    transact!(db, tx => {
        // In the order in which a registration takes the rows, so that the two never wait for each other.
        sqlx::query("delete from machine where node_id = $1").bind(node_id).execute(&mut *tx).await?;
        let sql = "
            update node set deregistered_at = $2, revision = revision + 1
            where node_id = $1 and deregistered_at is null";
        let found = sqlx::query(sql).bind(node_id).bind(now).execute(&mut *tx).await?;
        if found.rows_affected() == 0 {
            return Err(StoreError::Missing);
        }
        sqlx::query("delete from node_tag where node_id = $1").bind(node_id).execute(&mut *tx).await?;
        sqlx::query("delete from presence where node_id = $1").bind(node_id).execute(&mut *tx).await?;
        sqlx::query("delete from node_session where node_id = $1").bind(node_id).execute(&mut *tx).await?;
        sqlx::query("delete from node_claim where node_id = $1").bind(node_id).execute(&mut *tx).await?;
        sqlx::query("delete from machine_attribute where node_id = $1").bind(node_id).execute(&mut *tx).await?;
        sqlx::query("update node_key set retired_at = $2 where node_id = $1 and retired_at is null")
            .bind(node_id)
            .bind(now)
            .execute(&mut *tx)
            .await?;
        Ok(())
    })
}

/// Gives a node another role.
///
/// # Errors
/// `Missing` if it is not managed.
pub(crate) async fn set_role(db: &Db, node_id: &str, role: &str) -> Result<(), StoreError> {
    transact!(db, tx => {
        let sql = "
            update node set iam_role = $2, revision = revision + 1 where node_id = $1 and deregistered_at is null";
        let found = sqlx::query(sql).bind(node_id).bind(role).execute(&mut *tx).await?;
        match found.rows_affected() {
            0 => Err(StoreError::Missing),
            _ => Ok(()),
        }
    })
}
