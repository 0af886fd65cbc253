//! Old commands go, a few at a time.

use muster_store::{Column, Db, StoreError, json, read, transact};
use sqlx::FromRow;

/// A command that is old enough to go.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct OldRow {
    pub(crate) command_id: String,
    pub(crate) requested_at: i64,
    pub(crate) facts: String,
}

/// The next finished commands that were accepted before `before`, at most `limit` after that time and id.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn old(db: &Db, before: i64, after: &(i64, String), limit: i64) -> Result<Vec<OldRow>, StoreError> {
    let sql = "
        select command_id, requested_at, facts from command
        where requested_at < $1 and finished and (requested_at, command_id) > ($2, $3)
        order by requested_at, command_id limit $4";
    Ok(read!(db, pool => {
        sqlx::query_as(sql).bind(before).bind(after.0).bind(&after.1).bind(limit).fetch_all(pool).await
    })?)
}

/// Deletes these commands.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn forget(db: &Db, ids: &[String]) -> Result<(), StoreError> {
    let sql = "delete from command where command_id in (select r.command_id from {rows} as r)";
    let rows: Vec<(&String,)> = ids.iter().map(|id| (id,)).collect();
    let rows = json(&rows);
    transact!(db, tx => {
        let sql = db.with_rows(sql, &[Column::Text("command_id")]);
        sqlx::query(sql).bind(&rows).execute(&mut *tx).await?;
        Ok(())
    })
}
