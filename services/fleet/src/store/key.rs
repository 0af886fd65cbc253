//! Public keys of nodes.

use muster_store::{Db, StoreError, read};

/// Whether a key is one that the node has.
pub(crate) async fn is_current(db: &Db, node_id: &str, public_key: &str) -> Result<bool, StoreError> {
    let sql = "select count(*) from node_key where node_id = $1 and public_key = $2 and retired_at is null";
    let found: i64 = read!(db, pool => {
        sqlx::query_scalar(sql).bind(node_id).bind(public_key).fetch_one(pool).await
    })?;
    Ok(found > 0)
}
