//! Machines that want to be nodes, about which an operator is asked (agent.md B8).

use muster_store::{Column, Db, StoreError, read, transact};
use sqlx::FromRow;

/// Keeps claims; the same machine that asks again has one.
pub(super) const INSERT: &str = "
    insert into node_claim (node_id, fingerprint, concern, source, claimed_at)
    select r.node_id, r.fingerprint, r.concern, r.source, r.claimed_at
    from {rows} as r join node as n on n.node_id = r.node_id
    where n.deregistered_at is null
    on conflict (node_id, fingerprint) do update set
        concern = excluded.concern, source = excluded.source, claimed_at = excluded.claimed_at";
/// Only the newest eight of a node are kept, however many keys somebody makes.
pub(super) const PRUNE: &str = "
    delete from node_claim
    where node_id in (select r.node_id from {rows} as r)
        and claimed_at < (
            select c.claimed_at from node_claim as c where c.node_id = node_claim.node_id
            order by c.claimed_at desc limit 1 offset 7)";
pub(super) const COLUMNS: [Column; 5] = [
    Column::Text("node_id"),
    Column::Text("fingerprint"),
    Column::Text("concern"),
    Column::Text("source"),
    Column::BigInt("claimed_at"),
];

/// What an operator is asked about a node.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct ClaimRow {
    pub(crate) node_id: String,
    pub(crate) concern: String,
    /// Empty: no machine asks for leave.
    pub(crate) fingerprint: String,
    pub(crate) source: String,
    /// 0: nobody knows.
    pub(crate) claimed_at: i64,
}

/// Managed nodes about which an operator is asked, each with the machines that want to be it, the latest first.
pub(crate) async fn all(db: &Db) -> Result<Vec<ClaimRow>, StoreError> {
    let sql = "
        select n.node_id, coalesce(c.concern, n.concern) as concern, coalesce(c.fingerprint, '') as fingerprint,
            coalesce(c.source, '') as source, coalesce(c.claimed_at, 0) as claimed_at
        from node as n left join node_claim as c on c.node_id = n.node_id
        where (n.concern <> '' or c.node_id is not null) and n.deregistered_at is null
        order by n.node_id, claimed_at desc, fingerprint";
    Ok(read!(db, pool => sqlx::query_as(sql).fetch_all(pool).await)?)
}

/// What came of an operator's leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leave {
    Given,
    /// No machine with this fingerprint wants to be the node; these do.
    NoSuchClaim(Vec<String>),
}

/// Gives leave to the machine with this fingerprint to be the node, once. Without a fingerprint, where no machine asks,
/// the operator only says that the concern is settled.
///
/// # Errors
/// `Missing` if the node is not managed.
pub(crate) async fn approve(db: &Db, node_id: &str, fingerprint: &str) -> Result<Leave, StoreError> {
    transact!(db, tx => {
        // The node's row first: whoever claims it meanwhile waits.
        let sql = "update node set revision = revision where node_id = $1 and deregistered_at is null";
        if sqlx::query(sql).bind(node_id).execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(StoreError::Missing);
        }
        let sql = "select fingerprint from node_claim where node_id = $1 order by claimed_at desc, fingerprint";
        let claims: Vec<String> = sqlx::query_scalar(sql).bind(node_id).fetch_all(&mut *tx).await?;
        let is_settled = claims.is_empty() && fingerprint.is_empty();
        if !is_settled && !claims.iter().any(|claim| claim == fingerprint) {
            return Ok(Leave::NoSuchClaim(claims));
        }
        let sql = "update node set approved = $2, concern = '' where node_id = $1";
        sqlx::query(sql).bind(node_id).bind(fingerprint).execute(&mut *tx).await?;
        sqlx::query("delete from node_claim where node_id = $1").bind(node_id).execute(&mut *tx).await?;
        // Whoever speaks next is the node.
        sqlx::query("delete from node_session where node_id = $1").bind(node_id).execute(&mut *tx).await?;
        Ok(Leave::Given)
    })
}
