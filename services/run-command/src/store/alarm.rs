//! Commands that an alarm may stop.

use muster_store::{Db, StoreError, read};

/// Commands with an alarm that still send, each with what its sender gave.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn watched(db: &Db) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "select command_id, facts from command where alarm <> '' and not finished and not cancelled";
    Ok(read!(db, pool => sqlx::query_as(sql).fetch_all(pool).await)?)
}
