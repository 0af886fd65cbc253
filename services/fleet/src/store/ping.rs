//! Signs of life and facts, many nodes at a time.

use std::collections::{BTreeMap, HashMap};

use muster_proto::agent::v1::NodeFacts;
use muster_store::{Column, Db, StoreError, json, transact};

use crate::store::node::encode;

const PINGS: &str = "
    update node set last_ping = r.last_ping from {rows} as r
    where node.node_id = r.node_id and node.last_ping < r.last_ping";
const PING_COLUMNS: [Column; 2] = [Column::Text("node_id"), Column::BigInt("last_ping")];

const HELLOS: &str = "
    update node set last_ping = r.last_ping, facts = r.facts from {rows} as r
    where node.node_id = r.node_id and node.deregistered_at is null";
const HELLO_COLUMNS: [Column; 3] = [
    Column::Text("node_id"),
    Column::BigInt("last_ping"),
    Column::Text("facts"),
];
const MANAGED: &str = "
    select n.node_id from {rows} as r join node as n on n.node_id = r.node_id where n.deregistered_at is null";
const TAGS: &str = "
    select t.node_id, t.key, t.value from {rows} as r join node_tag as t on t.node_id = r.node_id";

/// Writes when nodes were last heard of.
pub(crate) async fn pings(db: &Db, pings: &[(String, i64)]) -> Result<(), StoreError> {
    let (sql, rows) = (db.with_rows(PINGS, &PING_COLUMNS), json(pings));
    transact!(db, tx => {
        sqlx::query(sql).bind(&rows).execute(&mut *tx).await?;
        Ok(())
    })
}

/// Writes what nodes told of themselves and answers with their tags. Who is not in the answer is not managed.
pub(crate) async fn hellos(
    db: &Db,
    hellos: &[(String, NodeFacts)],
    now: i64,
) -> Result<HashMap<String, BTreeMap<String, String>>, StoreError> {
    let rows: Vec<_> = hellos.iter().map(|(id, facts)| (id, now, encode(facts))).collect();
    let ids: Vec<_> = hellos.iter().map(|(id, _)| (id,)).collect();
    let (rows, ids) = (json(&rows), json(&ids));
    let column = [Column::Text("node_id")];
    let (managed, tags) = transact!(db, tx => {
        sqlx::query(db.with_rows(HELLOS, &HELLO_COLUMNS)).bind(&rows).execute(&mut *tx).await?;
        let managed: Vec<String> =
            sqlx::query_scalar(db.with_rows(MANAGED, &column)).bind(&ids).fetch_all(&mut *tx).await?;
        let tags: Vec<(String, String, String)> =
            sqlx::query_as(db.with_rows(TAGS, &column)).bind(&ids).fetch_all(&mut *tx).await?;
        Ok((managed, tags))
    })?;
    let mut answer: HashMap<_, BTreeMap<_, _>> = managed.into_iter().map(|id| (id, BTreeMap::new())).collect();
    for (id, key, value) in tags {
        if let Some(known) = answer.get_mut(&id) {
            known.insert(key, value);
        }
    }
    Ok(answer)
}
