//! The built-in documents of this release.

use muster_document::DocumentType;
use muster_model::Timestamp;
use muster_store::{Db, StoreError, transact};
use uuid::Uuid;

use crate::domain::draft::Draft;
use crate::domain::history::Seeding;
use crate::store::write::{INSERT_DOCUMENT, MOVE_DEFAULT, NewVersion, insert_version};
use crate::store::{TAKE_TURN, history};

const ADD_AND_MOVE: &str = "
    update document set latest_version = $2, last_version = $2, default_version = $2 where id = $1";

/// Brings the built-in documents to the contents of this release: a new one gets version 1, a changed one another
/// version, which becomes the default. Doing it again changes nothing, in this replica or another.
///
/// Gives the names that could not be seeded because users' documents have them.
pub(crate) async fn seed(
    db: &Db,
    built_in: &[(&'static str, DocumentType, Draft)],
    now: Timestamp,
) -> Result<Vec<&'static str>, StoreError> {
    transact!(db, tx => {
        sqlx::query(TAKE_TURN).execute(&mut *tx).await?;
        let mut occupied = Vec::new();
        for (name, document_type, draft) in built_in {
            let version = NewVersion {
                draft: draft.clone(),
                version_name: None,
                display_name: None,
                target_type: None,
                created_at: now.as_microsecond(),
            };
            let Some(history) = history!(tx, *name) else {
                let id = Uuid::now_v7().to_string();
                sqlx::query(INSERT_DOCUMENT)
                    .bind(&id)
                    .bind(*name)
                    .bind(true)
                    .bind(document_type.as_str())
                    .execute(&mut *tx)
                    .await?;
                insert_version!(tx, &id, name, 1_i64, version);
                continue;
            };
            let id = &history.head.id;
            match history.seed(draft.format, &draft.identity) {
                Seeding::Nothing => {}
                Seeding::MoveDefault(number) => {
                    sqlx::query(MOVE_DEFAULT).bind(id).bind(number).execute(&mut *tx).await?;
                }
                Seeding::Add(number) => {
                    insert_version!(tx, id, name, number, version);
                    sqlx::query(ADD_AND_MOVE).bind(id).bind(number).execute(&mut *tx).await?;
                }
                Seeding::Occupied => occupied.push(*name),
            }
        }
        Ok(occupied)
    })
}
