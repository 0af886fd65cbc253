//! Events: written with the change that they tell of, deleted when they were published.

use muster_store::{Column, Db, StoreError, json, read, transact};
use sqlx::FromRow;

use crate::domain::event::Event;

pub(crate) const INSERT: &str = "
    insert into news (turn, place, what, payload) select r.turn, r.place, r.what, r.payload from {rows} as r";
pub(crate) const COLUMNS: [Column; 4] = [
    Column::BigInt("turn"),
    Column::BigInt("place"),
    Column::Text("what"),
    Column::Text("payload"),
];

/// The parameter of [`INSERT`].
pub(crate) fn rows(turn: i64, events: &[Event]) -> String {
    let rows = events.iter().zip(0_i64..);
    json(
        &rows
            .map(|(event, place)| (turn, place, &event.what, &event.payload))
            .collect::<Vec<_>>(),
    )
}

/// An event that waits.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Waiting {
    turn: i64,
    place: i64,
    pub(crate) what: String,
    pub(crate) payload: String,
}

impl Waiting {
    /// Names the event, however often it is published.
    pub(crate) fn id(&self) -> String {
        format!("parameter-store-{}-{}", self.turn, self.place)
    }
}

/// The oldest events, in their order.
pub(crate) async fn oldest(db: &Db, limit: i64) -> Result<Vec<Waiting>, StoreError> {
    let sql = "select turn, place, what, payload from news order by turn, place limit $1";
    Ok(read!(db, pool => sqlx::query_as(sql).bind(limit).fetch_all(pool).await)?)
}

/// Forgets events that were published.
pub(crate) async fn published(db: &Db, events: &[Waiting]) -> Result<(), StoreError> {
    let sql = db.with_rows(
        "delete from news where (turn, place) in (select r.turn, r.place from {rows} as r)",
        &[Column::BigInt("turn"), Column::BigInt("place")],
    );
    let rows = json(&events.iter().map(|event| (event.turn, event.place)).collect::<Vec<_>>());
    transact!(db, tx => {
        sqlx::query(sql).bind(&rows).execute(&mut *tx).await?;
        Ok(())
    })
}
