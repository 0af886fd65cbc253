//! Publishes events: at once after the commit that wrote them, and again until the broker has surely had them.
//!
//! A row of events is deleted only after a message of our own has come back over the same connection: the broker
//! handles what one connection says in its order. Whoever dies before that leaves the row, and it is published again
//! with the same ids. Another replica's rows are left alone until they are old.

use std::time::Duration;

use async_nats::{Client, HeaderMap};
use muster_boot::{Echo, Parts};
use muster_store::Db;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::store::news::{self, News as Row};

/// Rows that wait in memory; more wait in the store alone.
const WAITING: usize = 1_024;
/// Rows from the store at a time.
const AT_ONCE: i64 = 64;
/// How often the store is looked through for rows that nobody published.
const LOOK: Duration = Duration::from_secs(5);
/// How long published rows may stay: deleting them costs a transaction.
const LAG: Duration = Duration::from_millis(250);
/// Pause after a bus that took no subscription.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes events that were just committed.
#[derive(Debug, Clone)]
pub(crate) struct News(mpsc::Sender<Row>);

impl News {
    /// Starts the task that publishes.
    pub(crate) fn start(parts: &Parts, db: Db) -> Self {
        let (sender, fresh) = mpsc::channel(WAITING);
        let publisher = Publisher {
            db,
            nats: parts.nats.clone(),
            published: Vec::new(),
            delete_at: None,
        };
        let stopping = parts.tasks.stopping();
        parts.tasks.spawn("news", async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = publisher.run(fresh) => {}
            }
            Ok(())
        });
        Self(sender)
    }

    /// Publishes soon.
    pub(crate) fn tell(&self, row: Option<Row>) {
        if let Some(row) = row {
            // With too many waiting, or while the service stops, the store keeps it for the next look.
            let _ = self.0.try_send(row);
        }
    }
}

struct Publisher {
    db: Db,
    nats: Client,
    /// Rows that are still in the store.
    published: Vec<String>,
    delete_at: Option<Instant>,
}

impl Publisher {
    async fn run(mut self, mut fresh: mpsc::Receiver<Row>) {
        let mut echo = self.echo().await;
        // What a former life has left is published whoever wrote it: twice is better than never.
        let mut look_at = Instant::now();
        let mut older_than = Duration::ZERO;
        loop {
            let mut rows = Vec::new();
            let delete_at = self.delete_at.unwrap_or(look_at);
            tokio::select! {
                biased;
                count = fresh.recv_many(&mut rows, WAITING) => if count == 0 {
                    return;
                },
                () = tokio::time::sleep_until(delete_at), if self.delete_at.is_some() => self.delete().await,
                () = tokio::time::sleep_until(look_at) => {
                    look_at = Instant::now() + LOOK;
                    rows = self.left_over(older_than).await;
                    if rows.len() == usize::try_from(AT_ONCE).unwrap_or(usize::MAX) {
                        look_at = Instant::now();
                    } else {
                        older_than = LOOK;
                    }
                }
            }
            rows.retain(|row| !self.published.contains(&row.id));
            if !rows.is_empty() && self.publish(&rows, &mut echo).await {
                self.published.extend(rows.into_iter().map(|row| row.id));
                self.delete_at.get_or_insert(Instant::now() + LAG);
            }
        }
    }

    async fn echo(&self) -> Echo {
        loop {
            match Echo::open(self.nats.clone()).await {
                Ok(echo) => return echo,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "events wait for the bus");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
    }

    async fn left_over(&self, older_than: Duration) -> Vec<Row> {
        let now = uuid::Timestamp::now(uuid::NoContext);
        let (seconds, nanos) = now.to_unix();
        let then = Duration::new(seconds, nanos).saturating_sub(older_than);
        let then = uuid::Timestamp::from_unix(uuid::NoContext, then.as_secs(), then.subsec_nanos());
        // Of all ids of that moment the last: what follows it is younger.
        match news::oldest(&self.db, &Uuid::new_v7(then).to_string(), AT_ONCE).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "events wait for the database");
                Vec::new()
            }
        }
    }

    /// Whether the broker has surely had them all.
    async fn publish(&self, rows: &[Row], echo: &mut Echo) -> bool {
        let mark = echo.mark();
        for row in rows {
            for (number, event) in row.events.iter().enumerate() {
                let id = format!("{}-{number}", row.id);
                let mut headers = HeaderMap::new();
                // A stream that listens knows repeats by this.
                headers.insert("Nats-Msg-Id", id.as_str());
                let payload = event.cloud_event(&id).into();
                if let Err(error) = self.nats.publish_with_headers(event.subject(), headers, payload).await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "an event waits for the bus");
                    return false;
                }
            }
        }
        echo.confirms(mark).await
    }

    async fn delete(&mut self) {
        self.delete_at = None;
        let ids = std::mem::take(&mut self.published);
        if let Err(error) = news::published(&self.db, &ids).await {
            // They will be published again, with the same ids.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "published events were not forgotten"
            );
        }
    }
}
