//! A rollout as it stands.

use muster_model::{RolloutId, Timestamp};
use muster_store::{Column, Db, StoreError, json, read};
use sqlx::FromRow;

use super::row::{TargetRow, decode, micros, number};
use crate::domain::Saved;

/// Whose a rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub(crate) holder: String,
    pub(crate) fence: i64,
    /// Whether the holder has given a sign of life lately.
    pub(crate) alive: bool,
    pub(crate) settled: bool,
}

/// What is stored of a rollout.
#[derive(Debug)]
pub(crate) struct Stored {
    /// `StartRolloutRequest`, encoded.
    pub(crate) request: Vec<u8>,
    pub(crate) concurrency: u32,
    pub(crate) errors_allowed: u32,
    pub(crate) traceparent: String,
    pub(crate) told: i64,
    pub(crate) saved: Saved,
}

/// News that the owner has not taken.
#[derive(Debug)]
pub(crate) struct Untold {
    pub(crate) sequence: i64,
    pub(crate) transitions: u32,
    /// `RecordRequest`, encoded.
    pub(crate) payload: Vec<u8>,
}

#[derive(FromRow)]
struct OwnershipRow {
    rollout_id: String,
    holder: String,
    fence: i64,
    lease_until: i64,
    settled_at: Option<i64>,
}

/// Whose these rollouts are; unknown ones are left out.
pub(crate) async fn ownerships(
    db: &Db,
    ids: &[RolloutId],
    now: Timestamp,
) -> Result<Vec<(RolloutId, Ownership)>, StoreError> {
    const OWNERSHIPS: &str = "
        select o.rollout_id, o.holder, o.fence, o.lease_until, o.settled_at
        from {rows} as r join rollout as o on o.rollout_id = r.rollout_id";
    let rows: Vec<_> = ids.iter().map(|id| (*id,)).collect();
    let rows = json(&rows);
    let rows: Vec<OwnershipRow> = read!(db, pool => {
        let sql = db.with_rows(OWNERSHIPS, &[Column::Text("rollout_id")]);
        sqlx::query_as(sql).bind(&rows).fetch_all(pool).await
    })?;
    rows.into_iter()
        .map(|row| {
            let id = row.rollout_id.parse().map_err(StoreError::corrupt)?;
            let ownership = Ownership {
                holder: row.holder,
                fence: row.fence,
                alive: row.lease_until >= micros(now),
                settled: row.settled_at.is_some(),
            };
            Ok((id, ownership))
        })
        .collect()
}

#[derive(FromRow)]
struct RolloutRow {
    request: String,
    concurrency: i64,
    errors_allowed: i64,
    traceparent: String,
    cancelled: bool,
    breached: bool,
    dispatched: i64,
    told: i64,
}

/// A rollout as it stands; nothing if there is no such rollout.
pub(crate) async fn rollout(db: &Db, id: RolloutId) -> Result<Option<Stored>, StoreError> {
    const ROLLOUT: &str = "
        select request, concurrency, errors_allowed, traceparent, cancelled, breached, dispatched, told
        from rollout where rollout_id = $1";
    const TARGETS: &str = "
        select position, phase, attempts, maybe_delivered, answered, late, cancel_requested, last_sequence
        from rollout_target where rollout_id = $1 order by position";
    let key = id.to_string();
    // In this order: of two rows that do not fit together because a writer came between, the target's is the newer.
    let row: Option<RolloutRow> = read!(db, pool => sqlx::query_as(ROLLOUT).bind(&key).fetch_optional(pool).await)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let targets: Vec<TargetRow> = read!(db, pool => sqlx::query_as(TARGETS).bind(&key).fetch_all(pool).await)?;
    let progress = targets.iter().map(TargetRow::progress).collect::<Result<_, _>>()?;
    Ok(Some(Stored {
        request: decode(&row.request)?,
        concurrency: number(row.concurrency)?,
        errors_allowed: number(row.errors_allowed)?,
        traceparent: row.traceparent,
        told: row.told,
        saved: Saved {
            cancelled: row.cancelled,
            breached: row.breached,
            cursor: number(row.dispatched)?,
            progress,
        },
    }))
}

#[derive(FromRow)]
struct UntoldRow {
    sequence: i64,
    transitions: i64,
    payload: String,
}

/// What the owner of a rollout has not taken yet, in order.
pub(crate) async fn untold(db: &Db, id: RolloutId) -> Result<Vec<Untold>, StoreError> {
    let sql = "select sequence, transitions, payload from outbox where rollout_id = $1 order by sequence";
    let rows: Vec<UntoldRow> = read!(db, pool => sqlx::query_as(sql).bind(id.to_string()).fetch_all(pool).await)?;
    rows.into_iter()
        .map(|row| {
            Ok(Untold {
                sequence: row.sequence,
                transitions: number(row.transitions)?,
                payload: decode(&row.payload)?,
            })
        })
        .collect()
}

/// Sequence of the last page of a rollout's history, 0 if there is none.
pub(crate) async fn history_end(db: &Db, id: RolloutId) -> Result<i64, StoreError> {
    let sql = "select coalesce(max(sequence), 0) from rollout_history where rollout_id = $1";
    Ok(read!(db, pool => sqlx::query_scalar(sql).bind(id.to_string()).fetch_one(pool).await)?)
}

/// Pages of a rollout's history after a sequence, in order: sequence and `HistoryPage`, encoded.
pub(crate) async fn history(db: &Db, id: RolloutId, after: i64, limit: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let sql = "
        select sequence, payload from rollout_history where rollout_id = $1 and sequence > $2
        order by sequence limit $3";
    let rows: Vec<(i64, String)> = read!(db, pool => {
        sqlx::query_as(sql).bind(id.to_string()).bind(after).bind(limit).fetch_all(pool).await
    })?;
    rows.into_iter()
        .map(|(sequence, payload)| Ok((sequence, decode(&payload)?)))
        .collect()
}
