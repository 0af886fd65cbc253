//! Connections with credentials that fleet has not signed (fleet 8): the key that signs nodes is somebody else's too.

use muster_store::{Column, Db, StoreError, json, read, transact};

const COLUMNS: [Column; 3] = [Column::Text("public_key"), Column::Text("name"), Column::BigInt("at")];
// Whoever registered a node without naming its key signs for it.
const ADOPT: &str = "
    insert into node_key (public_key, node_id, created_at)
    select r.public_key, r.name, r.at from {rows} as r join node as n on n.node_id = r.name
    where n.deregistered_at is null and not exists (select 1 from node_key as k where k.node_id = r.name)
    on conflict (public_key) do nothing";
const KEEP: &str = "
    insert into alien_key (public_key, name, seen_at)
    select r.public_key, r.name, r.at from {rows} as r
    where not exists (select 1 from node_key as k where k.public_key = r.public_key and k.node_id = r.name)
    on conflict (public_key) do nothing
    returning public_key, name";

/// Looks at who has connected as whom, each key once; gives the keys and names of those that are no nodes and were not
/// seen before.
pub(crate) async fn see(
    db: &Db,
    connections: &[(String, String)],
    now: i64,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut rows: Vec<_> = connections.iter().map(|(key, name)| (key, name, now)).collect();
    // In an order, so that two replicas never wait for each other.
    rows.sort_unstable();
    rows.dedup_by(|one, other| one.0 == other.0);
    let rows = json(&rows);
    transact!(db, tx => {
        sqlx::query(db.with_rows(ADOPT, &COLUMNS)).bind(&rows).execute(&mut *tx).await?;
        Ok(sqlx::query_as(db.with_rows(KEEP, &COLUMNS)).bind(&rows).fetch_all(&mut *tx).await?)
    })
}

/// All keys that were found to be no node's, and have not become one's since: machines that were registered after the last
/// backup of these tables register again with the key that they have.
pub(crate) async fn all(db: &Db) -> Result<Vec<String>, StoreError> {
    let sql = "
        select a.public_key from alien_key as a where not exists (
            select 1 from node_key as k where k.public_key = a.public_key and k.created_at > a.seen_at)";
    Ok(read!(db, pool => sqlx::query_scalar(sql).fetch_all(pool).await)?)
}
