//! Public keys of nodes.

use std::collections::HashSet;

use muster_store::{Column, Db, StoreError, json, read, transact};

const KEY: [Column; 1] = [Column::Text("public_key")];
const NODE: [Column; 1] = [Column::Text("node_id")];
const KNOWN: &str = "
    select k.public_key from {rows} as r join node_key as k on k.public_key = r.public_key
    where not exists (select 1 from alien_key as a where a.public_key = r.public_key and k.created_at <= a.seen_at)";
// An offered key that was not confirmed counts for nothing here: it must not hide that the node's own is old.
const DUE: &str = "
    select n.node_id from {rows} as r join node as n on n.node_id = r.node_id
    where n.rotation_asked_at is not null or exists (
        select 1 from node_key as k where k.node_id = n.node_id and k.retired_at is null and k.offered_until is null
            and k.created_at <= $2)";

/// How a node has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holding {
    /// It is the node's.
    Own,
    /// The node has offered it, and it is good until then, in microseconds.
    Offered(i64),
}

/// How a node has a key; `None`: not any more, or never.
pub(crate) async fn holding(db: &Db, node_id: &str, public_key: &str, now: i64) -> Result<Option<Holding>, StoreError> {
    let sql = "
        select offered_until from node_key
        where node_id = $1 and public_key = $2 and retired_at is null and (offered_until is null or offered_until > $3)";
    let found: Option<Option<i64>> = read!(db, pool => {
        sqlx::query_scalar(sql).bind(node_id).bind(public_key).bind(now).fetch_optional(pool).await
    })?;
    Ok(found.map(|until| until.map_or(Holding::Own, Holding::Offered)))
}

/// Keys that stopped being good at that time or later, with when, in microseconds.
pub(crate) async fn retired_since(db: &Db, since: i64) -> Result<Vec<(String, i64)>, StoreError> {
    let sql = "select public_key, retired_at from node_key where retired_at >= $1";
    Ok(read!(db, pool => sqlx::query_as(sql).bind(since).fetch_all(pool).await)?)
}

/// Which of these keys nodes have or had; those that were found to be no node's are never forgotten.
pub(crate) async fn known(db: &Db, keys: &[&str]) -> Result<Vec<String>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<_> = keys.iter().map(|key| (key,)).collect();
    let rows = json(&rows);
    Ok(read!(db, pool => sqlx::query_scalar(db.with_rows(KNOWN, &KEY)).bind(&rows).fetch_all(pool).await)?)
}

/// Which of these nodes are to take another key: an operator wants it, or theirs was made at `cutoff` or before.
pub(crate) async fn due(db: &Db, nodes: &[&str], cutoff: i64) -> Result<HashSet<String>, StoreError> {
    let rows: Vec<_> = nodes.iter().map(|node_id| (node_id,)).collect();
    let rows = json(&rows);
    let due: Vec<String> = read!(db, pool => {
        sqlx::query_scalar(db.with_rows(DUE, &NODE)).bind(&rows).bind(cutoff).fetch_all(pool).await
    })?;
    Ok(due.into_iter().collect())
}

/// Has a node take another key at its next hello.
///
/// # Errors
/// `Missing` if it is not managed.
pub(crate) async fn ask(db: &Db, node_id: &str, now: i64) -> Result<(), StoreError> {
    transact!(db, tx => {
        let sql = "update node set rotation_asked_at = $2 where node_id = $1 and deregistered_at is null";
        let found = sqlx::query(sql).bind(node_id).bind(now).execute(&mut *tx).await?;
        match found.rows_affected() {
            0 => Err(StoreError::Missing),
            _ => Ok(()),
        }
    })
}

/// Keeps a key that a node offers beside the one that it has; says whether that was possible. A key that was retired,
/// or is another node's, is not taken.
pub(crate) async fn offer(db: &Db, node_id: &str, key: &str, now: i64, until: i64) -> Result<bool, StoreError> {
    transact!(db, tx => {
        // The node's row first, so that a node that is put out meanwhile is waited for.
        let sql = "update node set revision = revision where node_id = $1 and deregistered_at is null";
        let found = sqlx::query(sql).bind(node_id).execute(&mut *tx).await?;
        if found.rows_affected() == 0 {
            return Ok(false);
        }
        // Offered again, it is as good as new; one that was confirmed stays so.
        let sql = "
            insert into node_key (public_key, node_id, created_at, offered_until) values ($1, $2, $3, $4)
            on conflict (public_key) do update set
                offered_until = case when node_key.offered_until is null then null else excluded.offered_until end
            where node_key.node_id = excluded.node_id and node_key.retired_at is null";
        let kept = sqlx::query(sql).bind(key).bind(node_id).bind(now).bind(until).execute(&mut *tx).await?;
        if kept.rows_affected() == 0 {
            return Ok(false);
        }
        // One at a time: a former offer was not confirmed, and will not be.
        let sql = "
            update node_key set retired_at = $3
            where node_id = $1 and public_key <> $2 and retired_at is null and offered_until is not null";
        sqlx::query(sql).bind(node_id).bind(key).bind(now).execute(&mut *tx).await?;
        Ok(true)
    })
}

/// A node has connected with a key: it is the node's, and its other keys are over. Says whether anything has changed.
pub(crate) async fn confirm(db: &Db, node_id: &str, key: &str, now: i64) -> Result<bool, StoreError> {
    transact!(db, tx => {
        let sql = "
            update node set rotation_asked_at = null
            where node_id = $1 and deregistered_at is null and exists (
                select 1 from node_key as k where k.node_id = $1 and k.public_key = $2 and k.retired_at is null
                    and (k.offered_until is null or k.offered_until > $3))";
        let found = sqlx::query(sql).bind(node_id).bind(key).bind(now).execute(&mut *tx).await?;
        if found.rows_affected() == 0 {
            return Ok(false);
        }
        let sql = "update node_key set offered_until = null where public_key = $1 and offered_until is not null";
        let confirmed = sqlx::query(sql).bind(key).execute(&mut *tx).await?;
        let sql = "
            update node_key set retired_at = $3 where node_id = $1 and public_key <> $2 and retired_at is null";
        let retired = sqlx::query(sql).bind(node_id).bind(key).bind(now).execute(&mut *tx).await?;
        Ok(confirmed.rows_affected() + retired.rows_affected() > 0)
    })
}
