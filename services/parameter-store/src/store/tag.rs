//! Tags of parameters, inside and outside of a transaction.

use muster_store::{Column, Db, StoreError, json, read, transact};

use super::{Outcome, find, take_turn};
use crate::domain::name::Name;
use crate::domain::tag::{self, Tags};
use crate::error::ParameterError;

pub(crate) const UPSERT: &str = "
    insert into parameter_tag (parameter_id, key, value)
    select r.parameter_id, r.key, r.value from {rows} as r where true
    on conflict (parameter_id, key) do update set value = excluded.value";
pub(crate) const COLUMNS: [Column; 3] = [Column::Text("parameter_id"), Column::Text("key"), Column::Text("value")];
const REMOVE: &str = "delete from parameter_tag where parameter_id = $2 and key in (select r.key from {rows} as r)";
const TAGS: &str = "
    select t.key, t.value from parameter as p left join parameter_tag as t on t.parameter_id = p.id
    where p.path = $1 and (p.expires_at is null or p.expires_at > $2)";

fn missing(name: &Name) -> ParameterError {
    ParameterError::MissingResource {
        id: name.spelled().to_owned(),
    }
}

/// Adds tags to a parameter.
pub(crate) async fn add(db: &Db, name: &Name, tags: &Tags, now: i64) -> Outcome<()> {
    transact!(db, tx => {
        take_turn!(tx);
        let Some(row) = find!(tx, name.path(), now) else {
            return Ok(Err(missing(name)));
        };
        let present: Vec<String> = sqlx::query_scalar("select key from parameter_tag where parameter_id = $1")
            .bind(&row.id)
            .fetch_all(&mut *tx)
            .await?;
        if let Err(refused) = tag::check_room(present.iter().map(String::as_str), tags) {
            return Ok(Err(refused));
        }
        let rows = json(&tags.iter().map(|(key, value)| (&row.id, key, value)).collect::<Vec<_>>());
        sqlx::query(db.with_rows(UPSERT, &COLUMNS)).bind(&rows).execute(&mut *tx).await?;
        Ok(Ok(()))
    })
}

/// Removes tags from a parameter.
pub(crate) async fn remove(db: &Db, name: &Name, keys: &[String], now: i64) -> Outcome<()> {
    let rows = json(&keys.iter().map(|key| (key,)).collect::<Vec<_>>());
    transact!(db, tx => {
        take_turn!(tx);
        let Some(row) = find!(tx, name.path(), now) else {
            return Ok(Err(missing(name)));
        };
        let sql = db.with_rows(REMOVE, &[Column::Text("key")]);
        sqlx::query(sql).bind(&rows).bind(&row.id).execute(&mut *tx).await?;
        Ok(Ok(()))
    })
}

/// The tags of a parameter by its path, whether it is there or not.
pub(crate) async fn of_path(db: &Db, path: &str) -> Result<Tags, StoreError> {
    let sql =
        "select t.key, t.value from parameter as p join parameter_tag as t on t.parameter_id = p.id where p.path = $1";
    let rows: Vec<(String, String)> = read!(db, pool => sqlx::query_as(sql).bind(path).fetch_all(pool).await)?;
    Ok(rows.into_iter().collect())
}

/// The tags of a parameter.
pub(crate) async fn of(db: &Db, name: &Name, now: i64) -> Outcome<Tags> {
    let rows: Vec<(Option<String>, Option<String>)> =
        read!(db, pool => sqlx::query_as(TAGS).bind(name.path()).bind(now).fetch_all(pool).await)?;
    if rows.is_empty() {
        return Ok(Err(missing(name)));
    }
    Ok(Ok(rows
        .into_iter()
        .filter_map(|(key, value)| Some((key?, value?)))
        .collect()))
}
