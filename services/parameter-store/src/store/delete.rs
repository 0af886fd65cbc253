//! Deletions.

use std::collections::BTreeSet;

use muster_model::Timestamp;
use muster_proto::Word;
use muster_proto::parameterstore::v1::ParameterTier;
use muster_store::{Column, Db, StoreError, json, transact};

use super::put::{COUNT, REMOVE};
use super::{find, take_turn, tell};
use crate::domain::event::{self, Change};
use crate::domain::scope::Scope;

/// Removes parameters with all that belongs to them; answers with the paths of those that were there.
pub(crate) async fn delete(
    db: &Db,
    paths: &[String],
    scope: &Scope,
    now: Timestamp,
) -> Result<BTreeSet<String>, StoreError> {
    // At most ten.
    let paths: BTreeSet<&String> = paths.iter().collect();
    transact!(db, tx => {
        let (turn, _, _) = take_turn!(tx);
        let (mut removed, mut there, mut events) = (Vec::new(), BTreeSet::new(), Vec::new());
        let (mut standard, mut advanced) = (0_i64, 0_i64);
        for path in paths {
            let Some(row) = find!(tx, path, now.as_microsecond()) else { continue };
            events.push(event::changed(Change::Delete, row.subject()?, scope, now));
            match row.tier == ParameterTier::Advanced.word() {
                true => advanced += 1,
                false => standard += 1,
            }
            removed.push((row.id,));
            there.insert(path.clone());
        }
        if !removed.is_empty() {
            let sql = db.with_rows(REMOVE, &[Column::Text("id")]);
            sqlx::query(sql).bind(json(&removed)).execute(&mut *tx).await?;
            sqlx::query(COUNT).bind(-standard).bind(-advanced).execute(&mut *tx).await?;
            tell!(db, tx, turn, events);
        }
        Ok(there)
    })
}
