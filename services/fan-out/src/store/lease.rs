//! Which rollouts belong to whom.

use muster_model::{RolloutId, Timestamp};
use muster_store::{Db, StoreError, read, transact};

use super::commit::Lease;
use super::row::micros;

/// Says of all rollouts of `lease.holder` that it is alive.
pub(crate) async fn renew(db: &Db, lease: &Lease) -> Result<(), StoreError> {
    transact!(db, tx => {
        sqlx::query("update rollout set lease_until = $1 where holder = $2 and settled_at is null")
            .bind(micros(lease.until))
            .bind(&lease.holder)
            .execute(&mut *tx)
            .await?;
        Ok(())
    })
}

/// Gives up all rollouts of `holder`: others need not wait for their time to run out.
pub(crate) async fn release(db: &Db, holder: &str) -> Result<(), StoreError> {
    transact!(db, tx => {
        sqlx::query("update rollout set lease_until = 0 where holder = $1 and settled_at is null")
            .bind(holder)
            .execute(&mut *tx)
            .await?;
        Ok(())
    })
}

/// The open rollouts that are `holder`'s.
pub(crate) async fn held(db: &Db, holder: &str) -> Result<Vec<RolloutId>, StoreError> {
    let sql = "select rollout_id from rollout where holder = $1 and settled_at is null";
    let ids: Vec<String> = read!(db, pool => sqlx::query_scalar(sql).bind(holder).fetch_all(pool).await)?;
    parse(ids)
}

/// The open rollouts of others whose time has run out.
pub(crate) async fn abandoned(db: &Db, holder: &str, now: Timestamp) -> Result<Vec<RolloutId>, StoreError> {
    let sql = "select rollout_id from rollout where holder <> $1 and lease_until < $2 and settled_at is null";
    let ids: Vec<String> = read!(db, pool => {
        sqlx::query_scalar(sql).bind(holder).bind(micros(now)).fetch_all(pool).await
    })?;
    parse(ids)
}

/// The open rollouts of former lives of this replica: a restart need not wait for their time to run out.
pub(crate) async fn of_former_lives(db: &Db, lease: &Lease) -> Result<Vec<RolloutId>, StoreError> {
    let sql = "select rollout_id from rollout where replica = $1 and holder <> $2 and settled_at is null";
    let ids: Vec<String> = read!(db, pool => {
        sqlx::query_scalar(sql).bind(&lease.replica).bind(&lease.holder).fetch_all(pool).await
    })?;
    parse(ids)
}

/// Takes a rollout over, if nobody else has since `known_holder` was seen; gives the new fence.
/// A settled one is opened again: a late report has come for it.
pub(crate) async fn claim(
    db: &Db,
    id: RolloutId,
    known_holder: &str,
    known_fence: i64,
    lease: &Lease,
) -> Result<Option<i64>, StoreError> {
    let sql = "
        update rollout set holder = $1, replica = $2, lease_until = $3, fence = fence + 1, settled_at = null
        where rollout_id = $4 and holder = $5 and fence = $6
        returning fence";
    transact!(db, tx => {
        let fence: Option<i64> = sqlx::query_scalar(sql)
            .bind(&lease.holder)
            .bind(&lease.replica)
            .bind(micros(lease.until))
            .bind(id.to_string())
            .bind(known_holder)
            .bind(known_fence)
            .fetch_optional(&mut *tx)
            .await?;
        Ok(fence)
    })
}

fn parse(ids: Vec<String>) -> Result<Vec<RolloutId>, StoreError> {
    ids.iter().map(|id| id.parse().map_err(StoreError::corrupt)).collect()
}
