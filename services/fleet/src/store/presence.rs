//! When nodes were last heard of, many nodes at a time.

use muster_store::{Column, Db, StoreError, json, read, transact};

/// Those who were away come back: told apart from the rest, because this is news.
pub(super) const COME_BACK: &str = "
    update presence set is_connected = true from {rows} as r
    where presence.node_id = r.node_id and not presence.is_connected
    returning presence.node_id";
pub(super) const PING: &str = "
    update presence set last_ping = r.last_ping from {rows} as r
    where presence.node_id = r.node_id and presence.last_ping < r.last_ping";
pub(super) const COLUMNS: [Column; 2] = [Column::Text("node_id"), Column::BigInt("last_ping")];

const GO_AWAY: &str = "
    update presence set is_connected = false where is_connected and last_ping <= $1
    returning node_id";

/// Writes when nodes were last heard of, and says which of them were away.
pub(crate) async fn heard(db: &Db, pings: &[(&str, i64)]) -> Result<Vec<String>, StoreError> {
    let rows = json(pings);
    let (come_back, ping) = (db.with_rows(COME_BACK, &COLUMNS), db.with_rows(PING, &COLUMNS));
    transact!(db, tx => {
        let back = sqlx::query_scalar(come_back).bind(&rows).fetch_all(&mut *tx).await?;
        sqlx::query(ping).bind(&rows).execute(&mut *tx).await?;
        Ok(back)
    })
}

/// Marks those who were not heard of since the cutoff, and says who they are. Of several replicas one says it.
pub(crate) async fn lost(db: &Db, cutoff: i64) -> Result<Vec<String>, StoreError> {
    transact!(db, tx => {
        Ok(sqlx::query_scalar(GO_AWAY).bind(cutoff).fetch_all(&mut *tx).await?)
    })
}

/// How many nodes are managed, and how many of them were heard of after the cutoff.
pub(crate) async fn count(db: &Db, cutoff: i64) -> Result<(i64, i64), StoreError> {
    let sql = "select count(*), count(case when last_ping > $1 then 1 end) from presence";
    Ok(read!(db, pool => sqlx::query_as(sql).bind(cutoff).fetch_one(pool).await)?)
}
