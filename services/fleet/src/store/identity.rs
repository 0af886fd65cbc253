//! What stays the same on the machines of nodes, and about which of them an operator is asked (agent.md B8).

use std::collections::HashMap;

use muster_store::{Column, Db, StoreError, json, read, transact};

use crate::domain::identity::{Attributes, Kind, Stored};

const NODE: [Column; 1] = [Column::Text("node_id")];
const CONCERNS: &str = "
    select n.node_id, n.concern, n.is_approved from {rows} as r join node as n on n.node_id = r.node_id
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
    update node set is_approved = false, concern = case when concern = 'IdentityChanged' then '' else concern end
    from {rows} as r where node.node_id = r.node_id";
const DOUBT: &str = "
    update node set concern = 'IdentityChanged' from {rows} as r
    where node.node_id = r.node_id and node.concern <> 'IdentityChanged' and node.deregistered_at is null
    returning node.node_id";

/// What is known of managed nodes, by id.
pub(crate) async fn of_nodes(db: &Db, ids: &[&str]) -> Result<HashMap<String, Stored>, StoreError> {
    let rows: Vec<_> = ids.iter().map(|id| (id,)).collect();
    let rows = json(&rows);
    let concerns: Vec<(String, String, bool)> = read!(db, pool => {
        sqlx::query_as(db.with_rows(CONCERNS, &NODE)).bind(&rows).fetch_all(pool).await
    })?;
    let attributes: Vec<(String, String, String)> = read!(db, pool => {
        sqlx::query_as(db.with_rows(ATTRIBUTES, &NODE)).bind(&rows).fetch_all(pool).await
    })?;
    let mut nodes: HashMap<String, Stored> = concerns
        .into_iter()
        .map(|(node_id, concern, is_approved)| {
            let stored = Stored {
                attributes: Attributes::default(),
                concern,
                is_approved,
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
pub(crate) async fn learn(db: &Db, nodes: &[(&str, &Attributes)]) -> Result<(), StoreError> {
    let ids: Vec<_> = nodes.iter().map(|(node_id, _)| (node_id,)).collect();
    let told: Vec<_> = nodes
        .iter()
        .flat_map(|(node_id, told)| told.0.iter().map(move |(kind, hash)| (node_id, kind.word(), hash)))
        .collect();
    let (ids, told) = (json(&ids), json(&told));
    transact!(db, tx => {
        for (sql, columns, rows) in [
            // The nodes' rows first, so that a node that is put out meanwhile is waited for.
            (SETTLE, NODE.as_slice(), &ids),
            (FORGET, NODE.as_slice(), &ids),
            (LEARN, ATTRIBUTE.as_slice(), &told),
        ] {
            sqlx::query(db.with_rows(sql, columns)).bind(rows).execute(&mut *tx).await?;
        }
        Ok(())
    })
}

/// Asks an operator about nodes whose machines have changed; gives those about which nobody was asked yet.
pub(crate) async fn doubt(db: &Db, ids: &[&str]) -> Result<Vec<String>, StoreError> {
    let rows: Vec<_> = ids.iter().map(|id| (id,)).collect();
    let rows = json(&rows);
    transact!(db, tx => {
        Ok(sqlx::query_scalar(db.with_rows(DOUBT, &NODE)).bind(&rows).fetch_all(&mut *tx).await?)
    })
}

/// Lets a node go on with other parts, or from another place, once.
///
/// # Errors
/// `Missing` if it is not managed.
pub(crate) async fn approve(db: &Db, node_id: &str) -> Result<(), StoreError> {
    transact!(db, tx => {
        let sql = "
            update node set is_approved = true, concern = '' where node_id = $1 and deregistered_at is null";
        let found = sqlx::query(sql).bind(node_id).execute(&mut *tx).await?;
        match found.rows_affected() {
            0 => Err(StoreError::Missing),
            _ => {
                // Whoever speaks next is the node.
                sqlx::query("delete from node_session where node_id = $1").bind(node_id).execute(&mut *tx).await?;
                Ok(())
            }
        }
    })
}

/// Managed nodes about which an operator is asked, with why.
pub(crate) async fn concerns(db: &Db) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "
        select node_id, concern from node where concern <> '' and deregistered_at is null order by node_id";
    Ok(read!(db, pool => sqlx::query_as(sql).fetch_all(pool).await)?)
}
