//! Old commands go, a few at a time.

use muster_store::{Db, StoreError, read, transact};

/// The next finished commands that were accepted before `before`, at most `limit`, with what their senders gave.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn old(db: &Db, before: i64, limit: i64) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "
        select command_id, facts from command where requested_at < $1 and finished
        order by requested_at, command_id limit $2";
    Ok(read!(db, pool => sqlx::query_as(sql).bind(before).bind(limit).fetch_all(pool).await)?)
}

/// Deletes at most `limit` finished commands that were accepted before `before`; says how many went.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn forget(db: &Db, before: i64, limit: i64) -> Result<u64, StoreError> {
    let sql = "
        delete from command where command_id in (
            select command_id from command where requested_at < $1 and finished
            order by requested_at, command_id limit $2)";
    transact!(db, tx => {
        let gone = sqlx::query(sql).bind(before).bind(limit).execute(&mut *tx).await?;
        Ok(gone.rows_affected())
    })
}
