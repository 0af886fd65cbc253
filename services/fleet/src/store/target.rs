//! Which nodes an expression means.

use std::collections::BTreeSet;

use muster_model::{Target, TargetKey};
use muster_store::{Column, Db, StoreError, json, read};

const EVERYBODY: &str = "select node_id from node where deregistered_at is null";
const BY_ID: &str = "
    select n.node_id from {rows} as r join node as n on n.node_id = r.value where n.deregistered_at is null";
const BY_TAG: &str = "
    select t.node_id from {rows} as r join node_tag as t on t.key = $2 and t.value = r.value";
const BY_KEY: &str = "select t.node_id from {rows} as r join node_tag as t on t.key = r.value";

/// The managed nodes that match. Tags of nodes that were put out are gone, so the tag table is enough.
pub(crate) async fn matching(db: &Db, target: &Target) -> Result<BTreeSet<String>, StoreError> {
    let values: Vec<_> = target.values.iter().map(|value| (value,)).collect();
    let (values, column) = (json(&values), [Column::Text("value")]);
    let nodes: Vec<String> = match &target.key {
        TargetKey::InstanceIds if target.is_everything() => {
            read!(db, pool => sqlx::query_scalar(EVERYBODY).fetch_all(pool).await)?
        }
        TargetKey::InstanceIds => {
            let sql = db.with_rows(BY_ID, &column);
            read!(db, pool => sqlx::query_scalar(sql).bind(&values).fetch_all(pool).await)?
        }
        TargetKey::Tag(key) => {
            let sql = db.with_rows(BY_TAG, &column);
            read!(db, pool => sqlx::query_scalar(sql).bind(&values).bind(key).fetch_all(pool).await)?
        }
        TargetKey::TagKey => {
            let sql = db.with_rows(BY_KEY, &column);
            read!(db, pool => sqlx::query_scalar(sql).bind(&values).fetch_all(pool).await)?
        }
        TargetKey::ResourceGroup | TargetKey::ResourceGroupTypes => Vec::new(),
    };
    Ok(nodes.into_iter().collect())
}
