//! What stays the same on the machines of nodes (agent.md B8).

use std::collections::HashMap;

use muster_store::{Column, Db, StoreError, json, read, transact};

use crate::domain::identity::{Attributes, Kind, Stored};
use crate::store::claim;

const NODE: [Column; 1] = [Column::Text("node_id")];
const CONCERNS: &str = "
    select n.node_id, n.concern, n.approved from {rows} as r join node as n on n.node_id = r.node_id
    where n.deregistered_at is null";
const ATTRIBUTES: &str = "
    select a.node_id, a.kind, a.hash from {rows} as r join machine_attribute as a on a.node_id = r.node_id";
const FORGET: &str = "
    delete from machine_attribute where node_id in (select r.node_id from {rows} as r)";
const LEARN: &str = "
    insert into machine_attribute (node_id, kind, hash)
    select r.node_id, r.kind, r.hash from {rows} as r join node as n on n.node_id = r.node_id
    where n.deregistered_at is null";
const ATTRIBUTE: [Column; 3] = [Column::Text("node_id"), Column::Text("kind"), Column::Text("hash")];
const SETTLE: &str = "
    update node set approved = '', concern = case when concern = 'IdentityChanged' then '' else concern end
    from {rows} as r where node.node_id = r.node_id";
const FORGET_CHANGED: &str = "
    delete from node_claim
    where concern = 'IdentityChanged' and node_id in (select r.node_id from {rows} as r)";
const DOUBT: &str = "
    update node set concern = 'IdentityChanged' from {rows} as r
    where node.node_id = r.node_id and node.concern <> 'IdentityChanged' and node.deregistered_at is null
    returning node.node_id";

/// What is known of managed nodes, by id.
pub(crate) async fn of_nodes(db: &Db, ids: &[&str]) -> Result<HashMap<String, Stored>, StoreError> {
    let rows: Vec<_> = ids.iter().map(|id| (id,)).collect();
    let rows = json(&rows);
    let concerns: Vec<(String, String, String)> = read!(db, pool => {
        sqlx::query_as(db.with_rows(CONCERNS, &NODE)).bind(&rows).fetch_all(pool).await
    })?;
    let attributes: Vec<(String, String, String)> = read!(db, pool => {
        sqlx::query_as(db.with_rows(ATTRIBUTES, &NODE)).bind(&rows).fetch_all(pool).await
    })?;
    let mut nodes: HashMap<String, Stored> = concerns
        .into_iter()
        .map(|(node_id, concern, approved)| {
            let stored = Stored {
                attributes: Attributes::default(),
                concern,
                approved,
            };
            (node_id, stored)
        })
        .collect();
    for (node_id, kind, hash) in attributes {
        if let (Some(node), Some(kind)) = (nodes.get_mut(&node_id), Kind::from_word(&kind)) {
            node.attributes.0.insert(kind, hash);
        }
    }
    Ok(nodes)
}

/// Takes what nodes tell for what their machines are from now on.
pub(crate) async fn learn(db: &Db, nodes: &[(&str, Attributes)]) -> Result<(), StoreError> {
    let mut ids: Vec<_> = nodes.iter().map(|(node_id, _)| (node_id,)).collect();
    // In an order, so that two that write seldom wait for each other.
    ids.sort_unstable();
    let told: Vec<_> = nodes
        .iter()
        .flat_map(|(node_id, told)| told.0.iter().map(move |(kind, hash)| (node_id, kind.word(), hash)))
        .collect();
    let (ids, told) = (json(&ids), json(&told));
    transact!(db, tx => {
        for (sql, columns, rows) in [
            // The nodes' rows first, so that a node that is put out meanwhile is waited for.
            (SETTLE, NODE.as_slice(), &ids),
            (FORGET_CHANGED, NODE.as_slice(), &ids),
            (FORGET, NODE.as_slice(), &ids),
            (LEARN, ATTRIBUTE.as_slice(), &told),
        ] {
            sqlx::query(db.with_rows(sql, columns)).bind(rows).execute(&mut *tx).await?;
        }
        Ok(())
    })
}

/// Asks an operator about nodes whose machines have changed, each with the fingerprint of its parts; gives those about
/// which nobody was asked yet.
pub(crate) async fn doubt(db: &Db, nodes: &[(&str, &str)], now: i64) -> Result<Vec<String>, StoreError> {
    let mut ids: Vec<_> = nodes.iter().map(|(node_id, _)| (node_id,)).collect();
    ids.sort_unstable();
    let claims: Vec<_> = nodes
        .iter()
        .map(|(node_id, fingerprint)| (node_id, fingerprint, "IdentityChanged", "", now))
        .collect();
    let (ids, claims) = (json(&ids), json(&claims));
    transact!(db, tx => {
        let asked = sqlx::query_scalar(db.with_rows(DOUBT, &NODE)).bind(&ids).fetch_all(&mut *tx).await?;
        for sql in [claim::INSERT, claim::PRUNE] {
            sqlx::query(db.with_rows(sql, &claim::COLUMNS)).bind(&claims).execute(&mut *tx).await?;
        }
        Ok(asked)
    })
}
