//! Changes that are to be told.

use muster_store::{Column, Db, StoreError, json, read, transact};
use sqlx::FromRow;

pub(crate) const INSERT: &str = "
    insert into principal_change (id, epoch, principal, access_key_id)
    values ($1, (select epoch from catalogue where id = 1), $2, $3)";

/// A change that was committed and not yet published.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Change {
    pub(crate) id: String,
    pub(crate) epoch: i64,
    /// Name of whom it concerns, `user/alice`; with no access key either, it may concern anybody.
    pub(crate) principal: Option<String>,
    pub(crate) access_key_id: Option<String>,
}

/// The oldest changes that are to be told.
pub(crate) async fn pending(db: &Db) -> Result<Vec<Change>, StoreError> {
    let sql = "select id, epoch, principal, access_key_id from principal_change order by id limit 100";
    Ok(read!(db, pool => sqlx::query_as(sql).fetch_all(pool).await)?)
}

/// Forgets changes that were told.
pub(crate) async fn told(db: &Db, changes: &[Change]) -> Result<(), StoreError> {
    let sql = db.with_rows(
        "delete from principal_change where id in (select r.id from {rows} as r)",
        &[Column::Text("id")],
    );
    let rows = json(&changes.iter().map(|change| (&change.id,)).collect::<Vec<_>>());
    transact!(db, tx => {
        sqlx::query(sql).bind(&rows).execute(&mut *tx).await?;
        Ok(())
    })
}

/// How many changes there have been.
pub(crate) async fn epoch(db: &Db) -> Result<i64, StoreError> {
    let sql = "select epoch from catalogue where id = 1";
    Ok(read!(db, pool => sqlx::query_scalar(sql).fetch_one(pool).await)?)
}
