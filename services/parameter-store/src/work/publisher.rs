//! Publishes events: CloudEvents on `muster.v1.event.parameter-store.parameter.<what>`, at least once, in their order.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use muster_boot::{BoxError, Echo, Parts};
use muster_store::Db;
use muster_wire::subject;
use tokio::sync::Notify;

use crate::store::news;

/// Events that are published before they are forgotten.
const AT_ONCE: i64 = 256;
/// Between two looks: under load, events are published and forgotten in groups.
const PAUSE: Duration = Duration::from_millis(20);
/// How often somebody else's events are looked for, and those that were not published.
const EVERY: Duration = Duration::from_secs(5);

/// Whoever publishes.
#[derive(Debug, Clone)]
pub(crate) struct Publisher(Arc<Notify>);

impl Publisher {
    /// Starts the task that publishes.
    pub(crate) fn start(parts: &Parts, db: Db) -> Self {
        let wake = Arc::new(Notify::new());
        let (woken, nats, stopping) = (Arc::clone(&wake), parts.nats.clone(), parts.tasks.stopping());
        parts.tasks.spawn("publisher", async move {
            let mut echo = None;
            loop {
                if let Err(error) = publish(&db, &nats, &mut echo).await {
                    tracing::warn!(error = &*error, "events wait: they were not published");
                }
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    () = tokio::time::sleep(PAUSE) => {}
                }
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    () = woken.notified() => {}
                    () = tokio::time::sleep(EVERY) => {}
                }
            }
        });
        Self(wake)
    }

    /// There is something to publish.
    pub(crate) fn wake(&self) {
        self.0.notify_one();
    }
}

async fn publish(db: &Db, nats: &Client, echo: &mut Option<Echo>) -> Result<(), BoxError> {
    loop {
        let waiting = news::oldest(db, AT_ONCE).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let echo = match echo {
            Some(echo) => echo,
            None => echo.insert(Echo::open(nats.clone()).await?),
        };
        if !echo.is_connected() {
            return Err("the bus is away".into());
        }
        let mark = echo.mark();
        for event in &waiting {
            let subject = subject::event("parameter-store", "parameter", &event.what);
            let mut headers = HeaderMap::new();
            // A stream that listens knows repeats by this.
            headers.insert("Nats-Msg-Id", event.id().as_str());
            nats.publish_with_headers(subject, headers, event.payload.clone().into())
                .await?;
        }
        // They are forgotten when the server has them; until then they are published again.
        if !echo.confirms(mark).await {
            return Err("the bus does not confirm them".into());
        }
        news::published(db, &waiting).await?;
    }
}
