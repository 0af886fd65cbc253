//! Delivers notifications (run-command 9): row by row, again until the sink has taken them, and never for ever.
//!
//! A sink that hangs or fails holds up its own rows only, and never a command.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use muster_boot::{Echo, Parts};
use muster_model::{Clock, SignedDuration};
use muster_store::Db;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::sync::Notify;

use crate::config::{Place, Sink};
use crate::store::news::{self, Notification};
use crate::work::web::WebError;
use crate::work::webhook;

/// On their way to one sink at once.
const AT_ONCE: usize = 8;
/// How long a sink may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nobody else tries a notification that somebody took, for this long.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);
/// Tries before it is given up; with the pauses between them a sink may be away for about half an hour.
const TRIES: i64 = 12;
/// Pauses between tries: doubled from the first to the last.
const PAUSE: (i64, i64) = (1, 300);
/// How often it is looked for rows whose pause is over.
const LOOK: Duration = Duration::from_millis(500);

/// Wakes the notifier.
#[derive(Debug, Clone)]
pub(crate) struct Notifier(Arc<Notify>);

impl Notifier {
    /// Starts the task that delivers to these sinks; without any there is nothing to do.
    pub(crate) fn start(parts: &Parts, db: Db, sinks: Vec<Sink>) -> Self {
        let wake = Arc::new(Notify::new());
        if sinks.is_empty() {
            return Self(wake);
        }
        let outcomes = Family::<[(&'static str, &'static str); 1], Counter>::default();
        parts
            .registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .register(
                "muster_run_command_notifications",
                "Notifications tried, by outcome",
                outcomes.clone(),
            );
        let work = Work {
            db,
            nats: parts.nats.clone(),
            clock: Arc::clone(&parts.clock),
            sinks,
            outcomes,
        };
        let stopping = parts.tasks.stopping();
        let waking = Arc::clone(&wake);
        parts.tasks.spawn("notifier", async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = work.run(&waking) => {}
            }
            Ok(())
        });
        Self(wake)
    }

    /// There is something to deliver.
    pub(crate) fn wake(&self) {
        self.0.notify_one();
    }
}

struct Work {
    db: Db,
    nats: Client,
    clock: Arc<dyn Clock>,
    sinks: Vec<Sink>,
    outcomes: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Work {
    async fn run(self, wake: &Notify) {
        let mut busy: HashMap<String, usize> = HashMap::new();
        let mut under_way: FuturesUnordered<BoxFuture<'_, String>> = FuturesUnordered::new();
        loop {
            for sink in &self.sinks {
                let count = busy.entry(sink.arn.clone()).or_default();
                for notification in self.claim(sink, AT_ONCE.saturating_sub(*count)).await {
                    *count += 1;
                    under_way.push(Box::pin(async {
                        self.deliver(sink, notification).await;
                        sink.arn.clone()
                    }));
                }
            }
            tokio::select! {
                Some(arn) = under_way.next(), if !under_way.is_empty() => {
                    if let Some(count) = busy.get_mut(&arn) {
                        *count = count.saturating_sub(1);
                    }
                }
                () = wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn claim(&self, sink: &Sink, limit: usize) -> Vec<Notification> {
        if limit == 0 {
            return Vec::new();
        }
        let now = self.clock.now();
        let until = now.saturating_add(CLAIM).unwrap_or(now).as_microsecond();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match news::claim(&self.db, &sink.arn, now.as_microsecond(), until, limit).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "notifications wait for the database"
                );
                Vec::new()
            }
        }
    }

    async fn deliver(&self, sink: &Sink, notification: Notification) {
        let Notification {
            id,
            command_id,
            payload,
            attempts,
            ..
        } = notification;
        let sent = match tokio::time::timeout(PATIENCE, self.send(sink, &id, payload)).await {
            Ok(sent) => sent,
            Err(_) => Err(WebError::Slow),
        };
        let (outcome, written) = match sent {
            Ok(()) => ("delivered", news::done(&self.db, &id).await),
            Err(error) if attempts >= TRIES => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    sink = sink.arn,
                    command.id = command_id,
                    "a notification is given up"
                );
                ("given_up", news::done(&self.db, &id).await)
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    sink = sink.arn,
                    command.id = command_id,
                    attempts,
                    "a notification is tried again later"
                );
                let due = self.clock.now().saturating_add(pause(attempts));
                let due = due.map_or(i64::MAX, |due| due.as_microsecond());
                ("failed", news::postpone(&self.db, &id, due).await)
            }
        };
        self.outcomes.get_or_create(&[("outcome", outcome)]).inc();
        if let Err(error) = written {
            // It is delivered once more when the claim is over.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a notification's outcome was not written"
            );
        }
    }

    async fn send(&self, sink: &Sink, id: &str, payload: String) -> Result<(), WebError> {
        match &sink.place {
            Place::Webhook(address) => webhook::post(address, id, payload).await,
            Place::Nats(subject) => publish(&self.nats, subject, id, payload).await,
        }
    }
}

/// Publishes a notification. `Ok`: the broker has it, and not only the socket to it.
async fn publish(nats: &Client, subject: &str, id: &str, payload: String) -> Result<(), WebError> {
    let broken = |text: String| WebError::Connect(std::io::Error::other(text));
    let opened = Echo::open(nats.clone()).await;
    let mut echo = opened.map_err(|error| broken(error.to_string()))?;
    if !echo.is_connected() {
        return Err(broken("the bus is away".to_owned()));
    }
    let mark = echo.mark();
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    headers.insert("Content-Type", "application/json");
    let published = nats.publish_with_headers(subject.to_owned(), headers, payload.into());
    published.await.map_err(|error| broken(error.to_string()))?;
    match echo.confirms(mark).await {
        true => Ok(()),
        false => Err(broken("the bus does not confirm it".to_owned())),
    }
}

/// The pause after so many tries.
fn pause(attempts: i64) -> SignedDuration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(20);
    let seconds = PAUSE.0.saturating_mul(1 << doublings);
    SignedDuration::from_secs(seconds.min(PAUSE.1))
}

#[cfg(test)]
mod tests {
    use muster_harness::NatsServer;

    use super::*;

    #[tokio::test]
    async fn a_notification_is_sent_when_the_broker_has_it_and_not_before() {
        let mut server = NatsServer::start().await;
        let nats = server.client().await;
        let mut heard = nats.subscribe("sink").await.unwrap();
        publish(&nats, "sink", "1", "one".to_owned()).await.unwrap();
        assert_eq!(heard.next().await.unwrap().payload, "one");
        // The client takes it at once all the same, and keeps it in memory.
        server.kill();
        assert!(publish(&nats, "sink", "2", "two".to_owned()).await.is_err());
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let seconds: Vec<_> = [1, 2, 3, 9, 10, 60].map(|attempts| pause(attempts).as_secs()).to_vec();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
    }
}
