//! Tells what changed: CloudEvents on `muster.v1.event.access.principal.changed`.
//!
//! A change is written down with what it changes and forgotten when the broker has surely had it, so that a crash in
//! between, or a change by the bootstrap command, is told, too. Whoever keeps answers believes them for five seconds at most and does
//! not depend on it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use muster_boot::{Echo, Parts};
use muster_model::Clock;
use muster_store::Db;
use muster_wire::subject;
use serde::Serialize;
use tokio::sync::Notify;

use crate::domain::identity::{Account, Kind};
use crate::store::change::{self, Change};

/// How often is looked for changes that were not made by this process.
const PERIOD: Duration = Duration::from_secs(1);

/// Wakes the task that tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Teller(Arc<Notify>);

#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a>,
}

/// Without a principal and an access key it may concern anybody.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    epoch: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<&'a str>,
}

#[derive(Debug)]
struct Telling {
    db: Db,
    nats: Client,
    echo: Option<Echo>,
    clock: Arc<dyn Clock>,
    account: Account,
}

impl Teller {
    /// Starts telling.
    pub(crate) fn start(parts: &Parts, db: Db, account: Account) -> Self {
        let teller = Self::default();
        let (woken, stopping) = (Arc::clone(&teller.0), parts.tasks.stopping());
        let mut telling = Telling {
            db,
            nats: parts.nats.clone(),
            echo: None,
            clock: Arc::clone(&parts.clock),
            account,
        };
        parts.tasks.spawn("teller", async move {
            loop {
                telling.tell_all().await;
                tokio::select! {
                    () = stopping.cancelled() => break,
                    () = woken.notified() => {}
                    () = tokio::time::sleep(PERIOD) => {}
                }
            }
            telling.tell_all().await;
            Ok(())
        });
        teller
    }

    /// Something changed.
    pub(crate) fn wake(&self) {
        self.0.notify_one();
    }
}

impl Telling {
    /// Tells what is to be told; what cannot be told now is told later.
    async fn tell_all(&mut self) {
        loop {
            match self.tell_some().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = &*error as &dyn std::error::Error, "a change was not told yet");
                    return;
                }
            }
        }
    }

    async fn tell_some(&mut self) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
        let changes = change::pending(&self.db).await?;
        if changes.is_empty() {
            return Ok(0);
        }
        let mut echo = match self.echo.take() {
            Some(echo) => echo,
            None => Echo::open(self.nats.clone()).await?,
        };
        if !echo.is_connected() {
            self.echo = Some(echo);
            return Err("the bus is away".into());
        }
        let mark = echo.mark();
        for change in &changes {
            let payload = serde_json::to_vec(&self.event(change))?;
            let subject = subject::event("access", "principal", "changed");
            self.nats.publish(subject, payload.into()).await?;
        }
        let is_confirmed = echo.confirms(mark).await;
        self.echo = Some(echo);
        if !is_confirmed {
            return Err("the bus does not confirm it".into());
        }
        change::told(&self.db, &changes).await?;
        Ok(changes.len())
    }

    fn event<'a>(&self, change: &'a Change) -> Event<'a> {
        let arn = change.principal.as_deref().and_then(|place| {
            let (kind, name) = place.split_once('/')?;
            Some(self.account.arn(Kind::parse(kind)?, name))
        });
        Event {
            specversion: "1.0",
            id: &change.id,
            source: "muster/access",
            kind: "access.principal.changed",
            subject: arn.clone(),
            // A change that waited is told as of now; its epoch says which one it was.
            time: self.clock.now().to_string(),
            datacontenttype: "application/json",
            data: Data {
                epoch: change.epoch,
                principal: arn,
                access_key_id: change.access_key_id.as_deref(),
            },
        }
    }
}
