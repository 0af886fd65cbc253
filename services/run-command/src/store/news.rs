//! Events and notifications: written with the change that they tell of, deleted when they were told.

use std::collections::HashMap;

use muster_proto::runcommand::v1::Command;
use muster_store::{Column, Db, StoreError, json, read, transact};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::event::Event;
use crate::domain::notification::{Wanted, payload};

/// The events of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) id: String,
    pub(crate) events: Vec<Event>,
}

/// What a transaction has to write beside its change: at most one row of events, and the notifications.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) news: Option<News>,
    notifications: Vec<(String, String, String, String, i64)>,
}

/// A notification whose turn has come.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Notification {
    pub(crate) id: String,
    pub(crate) command_id: String,
    pub(crate) payload: String,
    /// Tries so far, this one included.
    pub(crate) attempts: i64,
    due_at: i64,
}

/// How events are stored: commands are named once.
#[derive(Serialize, Deserialize)]
struct Payload {
    commands: Vec<String>,
    /// Place of the command, node, status, details, time.
    events: Vec<(usize, Option<String>, String, String, i64)>,
}

pub(crate) const INSERT_NEWS: &str = "insert into news (id, payload) values ($1, $2)";
pub(crate) const INSERT_NOTIFICATIONS: &str = "
    insert into notification (id, command_id, sink, payload, attempts, due_at)
    select r.id, r.command_id, r.sink, r.payload, 0, r.due_at from {rows} as r";
pub(crate) const NOTIFICATION_COLUMNS: [Column; 5] = [
    Column::Text("id"),
    Column::Text("command_id"),
    Column::Text("sink"),
    Column::Text("payload"),
    Column::BigInt("due_at"),
];

impl Told {
    /// Nothing yet.
    pub(crate) fn new(events: Vec<Event>) -> Self {
        let id = Uuid::now_v7().to_string();
        Self {
            news: (!events.is_empty()).then_some(News { id, events }),
            notifications: Vec::new(),
        }
    }

    /// Adds what the sender of a command wants to hear of these events.
    pub(crate) fn notify<'a>(&mut self, command: &Command, events: impl IntoIterator<Item = &'a Event>) {
        let Some(wanted) = Wanted::of(command.notification_config.as_ref()) else {
            return;
        };
        for event in events.into_iter().filter(|event| wanted.wants(event)) {
            self.notifications.push((
                Uuid::now_v7().to_string(),
                event.command_id.clone(),
                wanted.arn.clone(),
                payload(command, event),
                event.at,
            ));
        }
    }

    /// Whether a notification is to be delivered.
    pub(crate) fn notifies(&self) -> bool {
        !self.notifications.is_empty()
    }

    /// The values of [`INSERT_NEWS`], if there are events.
    pub(crate) fn news_row(&self) -> Option<(&str, String)> {
        let news = self.news.as_ref()?;
        let payload = Payload::of(&news.events);
        let payload = serde_json::to_string(&payload).expect("texts and numbers always have a JSON form");
        Some((&news.id, payload))
    }

    /// The rows of [`INSERT_NOTIFICATIONS`], if there are any.
    pub(crate) fn notification_rows(&self) -> Option<String> {
        self.notifies().then(|| json(&self.notifications))
    }
}

impl Payload {
    fn of(events: &[Event]) -> Self {
        let mut payload = Self {
            commands: Vec::new(),
            events: Vec::with_capacity(events.len()),
        };
        let mut places: HashMap<&str, usize> = HashMap::new();
        for event in events {
            let place = *places.entry(&event.command_id).or_insert_with(|| {
                payload.commands.push(event.command_id.clone());
                payload.commands.len() - 1
            });
            let (node, status) = (event.node_id.clone(), event.status.clone());
            payload
                .events
                .push((place, node, status, event.details.clone(), event.at));
        }
        payload
    }

    fn events(self) -> Option<Vec<Event>> {
        let Self { commands, events } = self;
        let event = |(place, node_id, status, details, at): (usize, _, _, _, _)| {
            Some(Event {
                command_id: commands.get(place)?.clone(),
                node_id,
                status,
                details,
                at,
            })
        };
        events.into_iter().map(event).collect()
    }
}

/// The oldest events with ids before `before`, which may be another replica's.
pub(crate) async fn oldest(db: &Db, before: &str, limit: i64) -> Result<Vec<News>, StoreError> {
    let sql = "select id, payload from news where id < $1 order by id limit $2";
    let rows: Vec<(String, String)> =
        read!(db, pool => sqlx::query_as(sql).bind(before).bind(limit).fetch_all(pool).await)?;
    rows.into_iter()
        .map(|(id, payload)| {
            let payload: Payload = serde_json::from_str(&payload).map_err(StoreError::corrupt)?;
            let events = payload
                .events()
                .ok_or_else(|| StoreError::corrupt("an event of no command".to_owned()))?;
            Ok(News { id, events })
        })
        .collect()
}

/// Forgets events that were published.
pub(crate) async fn published(db: &Db, ids: &[String]) -> Result<(), StoreError> {
    let rows = json(&ids.iter().map(|id| (id,)).collect::<Vec<_>>());
    let sql = db.with_rows(
        "delete from news where id in (select r.id from {rows} as r)",
        &[Column::Text("id")],
    );
    transact!(db, tx => {
        sqlx::query(sql).bind(&rows).execute(&mut *tx).await?;
        Ok(())
    })
}

/// Takes notifications for a sink whose turn has come; nobody else gets them before `until`.
pub(crate) async fn claim(
    db: &Db,
    sink: &str,
    now: i64,
    until: i64,
    limit: i64,
) -> Result<Vec<Notification>, StoreError> {
    let due = "
        select id, command_id, payload, attempts, due_at from notification
        where sink = $1 and due_at <= $2 order by due_at, id limit $3";
    let found: Vec<Notification> =
        read!(db, pool => sqlx::query_as(due).bind(sink).bind(now).bind(limit).fetch_all(pool).await)?;
    if found.is_empty() {
        return Ok(found);
    }
    // Another replica may have found the same: whoever moves the time on has it.
    let take = "update notification set due_at = $3, attempts = attempts + 1 where id = $1 and due_at = $2";
    transact!(db, tx => {
        let mut mine = Vec::with_capacity(found.len());
        for mut each in found {
            let taken = sqlx::query(take).bind(&each.id).bind(each.due_at).bind(until).execute(&mut *tx).await?;
            if taken.rows_affected() == 1 {
                each.attempts += 1;
                mine.push(each);
            }
        }
        Ok(mine)
    })
}

/// A notification was delivered, or is given up.
pub(crate) async fn done(db: &Db, id: &str) -> Result<(), StoreError> {
    transact!(db, tx => {
        sqlx::query("delete from notification where id = $1").bind(id).execute(&mut *tx).await?;
        Ok(())
    })
}

/// A notification is tried again at `due_at`.
pub(crate) async fn postpone(db: &Db, id: &str, due_at: i64) -> Result<(), StoreError> {
    transact!(db, tx => {
        sqlx::query("update notification set due_at = $2 where id = $1").bind(id).bind(due_at).execute(&mut *tx).await?;
        Ok(())
    })
}

/// Forgets notifications that nobody has tried since `before`: their sink is not configured any more.
pub(crate) async fn forget_notifications(db: &Db, before: i64) -> Result<(), StoreError> {
    transact!(db, tx => {
        sqlx::query("delete from notification where due_at < $1").bind(before).execute(&mut *tx).await?;
        Ok(())
    })
}
