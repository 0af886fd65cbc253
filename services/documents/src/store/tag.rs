//! Tags of documents, inside and outside of a transaction.

use muster_store::{Column, Db, StoreError, json, transact};

use super::take_turn;
use crate::domain::tag::{self, Tags};
use crate::error::DocumentError;

pub(crate) const UPSERT: &str = "
    insert into document_tag (document_id, key, value) select r.document_id, r.key, r.value from {rows} as r where true
    on conflict (document_id, key) do update set value = excluded.value";
pub(crate) const COLUMNS: [Column; 3] = [Column::Text("document_id"), Column::Text("key"), Column::Text("value")];
const REMOVE: &str = "delete from document_tag where document_id = $2 and key in (select r.key from {rows} as r)";
const ID: &str = "select id from document where name = $1";

/// The parameter of [`UPSERT`].
pub(crate) fn rows(document_id: &str, tags: &Tags) -> String {
    json(
        &tags
            .iter()
            .map(|(key, value)| (document_id, key, value))
            .collect::<Vec<_>>(),
    )
}

/// Adds tags to a document.
pub(crate) async fn add(db: &Db, name: &str, tags: &Tags) -> Result<Result<(), DocumentError>, StoreError> {
    transact!(db, tx => {
        take_turn!(tx);
        let id: Option<String> = sqlx::query_scalar(ID).bind(name).fetch_optional(&mut *tx).await?;
        let Some(id) = id else {
            return Ok(Err(DocumentError::MissingResource { id: name.to_owned() }));
        };
        let present: Vec<String> = sqlx::query_scalar("select key from document_tag where document_id = $1")
            .bind(&id)
            .fetch_all(&mut *tx)
            .await?;
        if let Err(refused) = tag::check_room(present.iter().map(String::as_str), tags) {
            return Ok(Err(refused));
        }
        sqlx::query(db.with_rows(UPSERT, &COLUMNS)).bind(rows(&id, tags)).execute(&mut *tx).await?;
        Ok(Ok(()))
    })
}

/// Removes tags from a document.
pub(crate) async fn remove(db: &Db, name: &str, keys: &[String]) -> Result<Result<(), DocumentError>, StoreError> {
    let rows = json(&keys.iter().map(|key| (key,)).collect::<Vec<_>>());
    transact!(db, tx => {
        take_turn!(tx);
        let id: Option<String> = sqlx::query_scalar(ID).bind(name).fetch_optional(&mut *tx).await?;
        let Some(id) = id else {
            return Ok(Err(DocumentError::MissingResource { id: name.to_owned() }));
        };
        let sql = db.with_rows(REMOVE, &[Column::Text("key")]);
        sqlx::query(sql).bind(&rows).bind(&id).execute(&mut *tx).await?;
        Ok(Ok(()))
    })
}
