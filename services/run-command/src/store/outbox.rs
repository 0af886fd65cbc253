//! What the coordinator has to be told: written with the change that causes it, deleted when it was heard.

use muster_model::CommandId;
use muster_proto::fanout::v1::{CancelRolloutRequest, StartRolloutRequest};
use muster_store::{Column, Db, StoreError, json, read, transact};
use sqlx::FromRow;
use uuid::Uuid;

use crate::store::row::{decode, encode};

/// One thing to tell.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Entry {
    id: String,
    kind: String,
    pub(crate) command_id: String,
    payload: String,
    pub(crate) traceparent: String,
}

/// What an entry says.
#[derive(Debug)]
pub(crate) enum Message {
    Start(Box<StartRolloutRequest>),
    Cancel(CancelRolloutRequest),
}

const START: &str = "start";
const CANCEL: &str = "cancel";

pub(crate) const INSERT: &str = "
    insert into outbox (id, kind, command_id, payload, traceparent)
    select r.id, r.kind, r.command_id, r.payload, r.traceparent from {rows} as r";
pub(crate) const COLUMNS: [Column; 5] = [
    Column::Text("id"),
    Column::Text("kind"),
    Column::Text("command_id"),
    Column::Text("payload"),
    Column::Text("traceparent"),
];

impl Entry {
    /// "Start this."
    pub(crate) fn start(command: CommandId, rollout: &StartRolloutRequest, traceparent: &str) -> Self {
        Self::new(START, command, encode(rollout), traceparent)
    }

    /// "Cancel this."
    pub(crate) fn cancel(command: CommandId, cancel: &CancelRolloutRequest, traceparent: &str) -> Self {
        Self::new(CANCEL, command, encode(cancel), traceparent)
    }

    fn new(kind: &str, command: CommandId, payload: String, traceparent: &str) -> Self {
        Self {
            // Version 7: a start sorts before the cancel that follows it.
            id: Uuid::now_v7().to_string(),
            kind: kind.to_owned(),
            command_id: command.to_string(),
            payload,
            traceparent: traceparent.to_owned(),
        }
    }

    /// What it says.
    pub(crate) fn message(&self) -> Result<Message, StoreError> {
        match self.kind.as_str() {
            START => Ok(Message::Start(Box::new(decode(&self.payload)?))),
            CANCEL => Ok(Message::Cancel(decode(&self.payload)?)),
            other => Err(StoreError::corrupt(format!("{other} is no kind of outbox entry"))),
        }
    }
}

/// The parameter of [`INSERT`].
pub(crate) fn rows(entries: &[Entry]) -> String {
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                &entry.id,
                &entry.kind,
                &entry.command_id,
                &entry.payload,
                &entry.traceparent,
            )
        })
        .collect();
    json(&rows)
}

/// The oldest entries.
pub(crate) async fn oldest(db: &Db, limit: i64) -> Result<Vec<Entry>, StoreError> {
    let sql = "select id, kind, command_id, payload, traceparent from outbox order by id limit $1";
    Ok(read!(db, pool => sqlx::query_as(sql).bind(limit).fetch_all(pool).await)?)
}

/// Forgets entries that were heard.
pub(crate) async fn heard(db: &Db, entries: &[Entry]) -> Result<(), StoreError> {
    let ids: Vec<_> = entries.iter().map(|entry| (&entry.id,)).collect();
    let ids = json(&ids);
    let sql = db.with_rows(
        "delete from outbox where id in (select r.id from {rows} as r)",
        &[Column::Text("id")],
    );
    transact!(db, tx => {
        sqlx::query(sql).bind(&ids).execute(&mut *tx).await?;
        Ok(())
    })
}
