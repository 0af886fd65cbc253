//! Labels of versions.

use muster_model::Timestamp;
use muster_store::{Column, Db, json, transact};

use super::{Outcome, find, take_turn, tell};
use crate::domain::event::{self, Change};
use crate::domain::label::{self, Labels};
use crate::domain::name::Name;
use crate::domain::scope::Scope;
use crate::error::ParameterError;

const LABELS: &str = "select label, version from parameter_label where parameter_id = $1";
const VERSION: &str = "select count(*) from parameter_version where parameter_id = $1 and version = $2";
const UPSERT: &str = "
    insert into parameter_label (parameter_id, label, version)
    select r.parameter_id, r.label, r.version from {rows} as r where true
    on conflict (parameter_id, label) do update set version = excluded.version";
const COLUMNS: [Column; 3] = [
    Column::Text("parameter_id"),
    Column::Text("label"),
    Column::BigInt("version"),
];
const REMOVE: &str =
    "delete from parameter_label where parameter_id = $2 and label in (select r.label from {rows} as r)";

/// The live parameter with a version that is there, inside a transaction.
macro_rules! version {
    ($tx:ident, $name:expr, $version:expr, $now:expr) => {{
        let Some(row) = find!($tx, $name.path(), $now) else {
            let name = $name.spelled().to_owned();
            return Ok(Err(ParameterError::Missing { name }));
        };
        let version: i64 = $version.unwrap_or(row.last_version);
        let count: i64 = sqlx::query_scalar(VERSION)
            .bind(&row.id)
            .bind(version)
            .fetch_one(&mut *$tx)
            .await?;
        if count == 0 {
            let (name, version) = ($name.spelled().to_owned(), version.to_string());
            return Ok(Err(ParameterError::MissingVersion { name, version }));
        }
        let labels: Vec<(String, i64)> = sqlx::query_as(LABELS).bind(&row.id).fetch_all(&mut *$tx).await?;
        let labels: Labels = labels.into_iter().collect();
        (row, version, labels)
    }};
}

/// Puts good labels on a version, the latest if none is named; answers with its number.
pub(crate) async fn put(
    db: &Db,
    name: &Name,
    version: Option<i64>,
    good: &[String],
    scope: &Scope,
    now: Timestamp,
) -> Outcome<i64> {
    transact!(db, tx => {
        let (turn, _, _) = take_turn!(tx);
        let (row, version, labels) = version!(tx, name, version, now.as_microsecond());
        let after = match label::moved(&labels, version, good) {
            Ok(after) => after,
            Err(refused) => return Ok(Err(refused)),
        };
        if after == labels {
            return Ok(Ok(version));
        }
        let rows = json(&good.iter().map(|label| (&row.id, label, version)).collect::<Vec<_>>());
        sqlx::query(db.with_rows(UPSERT, &COLUMNS)).bind(&rows).execute(&mut *tx).await?;
        let events = [event::changed(Change::LabelParameterVersion, row.subject()?, scope, now)];
        tell!(db, tx, turn, events);
        Ok(Ok(version))
    })
}

/// Takes labels off a version; answers with those that it had and those that it had not.
pub(crate) async fn remove(
    db: &Db,
    name: &Name,
    version: i64,
    labels: &[String],
    now: Timestamp,
) -> Outcome<(Vec<String>, Vec<String>)> {
    transact!(db, tx => {
        take_turn!(tx);
        let (row, version, present) = version!(tx, name, Some(version), now.as_microsecond());
        let (there, strange) = label::found(&present, version, labels);
        if !there.is_empty() {
            let rows = json(&there.iter().map(|label| (label,)).collect::<Vec<_>>());
            let sql = db.with_rows(REMOVE, &[Column::Text("label")]);
            sqlx::query(sql).bind(&rows).bind(&row.id).execute(&mut *tx).await?;
        }
        Ok(Ok((there, strange)))
    })
}
