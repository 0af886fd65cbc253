//! Old rollouts go, a few at a time.

use muster_model::{RolloutId, Timestamp};
use muster_store::{Column, Db, StoreError, json, read, transact};

use super::row::micros;

const OLD: &str = "select rollout_id from rollout where settled_at < $1 order by settled_at limit $2";
const TARGETS: &str = "delete from rollout_target where rollout_id in (select r.rollout_id from {rows} as r)";
const HISTORY: &str = "delete from rollout_history where rollout_id in (select r.rollout_id from {rows} as r)";
// A late report may have opened one again since it was found.
const ROLLOUTS: &str = "
    delete from rollout where settled_at is not null and rollout_id in (select r.rollout_id from {rows} as r)";
const ID: [Column; 1] = [Column::Text("rollout_id")];

/// Deletes at most `limit` rollouts that were settled before `before`; says how many were found.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn forget(db: &Db, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
    let old: Vec<String> = read!(db, pool => {
        sqlx::query_scalar(OLD).bind(micros(before)).bind(i64::from(limit)).fetch_all(pool).await
    })?;
    if old.is_empty() {
        return Ok(0);
    }
    let ids: Vec<(RolloutId,)> = old
        .iter()
        .map(|id| id.parse().map(|id| (id,)).map_err(StoreError::corrupt))
        .collect::<Result<_, _>>()?;
    let found = u32::try_from(ids.len()).unwrap_or(limit);
    let ids = json(&ids);
    transact!(db, tx => {
        let gone = sqlx::query(db.with_rows(ROLLOUTS, &ID)).bind(&ids).execute(&mut *tx).await?.rows_affected();
        if gone == u64::from(found) {
            sqlx::query(db.with_rows(TARGETS, &ID)).bind(&ids).execute(&mut *tx).await?;
            sqlx::query(db.with_rows(HISTORY, &ID)).bind(&ids).execute(&mut *tx).await?;
            Ok(())
        } else {
            // One was opened again: leave them all to the next round, which will not find it.
            Err(StoreError::Conflict { constraint: "settled_at".to_owned() })
        }
    })?;
    Ok(found)
}
