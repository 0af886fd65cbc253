//! Tells the coordinator what the outbox says: at once after the commit, and again until it was heard.

use std::time::Duration;

use async_nats::Client;
use futures::StreamExt;
use muster_boot::Parts;
use muster_proto::fanout::v1::fan_out_client::FanOutClient;
use muster_store::Db;
use muster_wire::{Failure, NatsChannel, trace};
use tokio::sync::mpsc;
use tracing::{Instrument, info_span};

use crate::store::outbox::{self, Entry, Message};

/// Entries on their way at once.
const AT_ONCE: usize = 64;
/// How often the outbox is looked through for entries that were not heard, for example before a restart.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Takes entries that were just committed.
#[derive(Debug, Clone)]
pub(crate) struct Dispatcher(mpsc::UnboundedSender<Vec<Entry>>);

impl Dispatcher {
    /// Starts the task that tells.
    pub(crate) fn start(parts: &Parts, db: Db) -> Self {
        let (sender, mut fresh) = mpsc::unbounded_channel::<Vec<Entry>>();
        let stopping = parts.tasks.stopping();
        let nats = parts.nats.clone();
        parts.tasks.spawn("dispatcher", async move {
            let mut unheard = true;
            loop {
                let mut entries = tokio::select! {
                    biased;
                    () = stopping.cancelled() => return Ok(()),
                    entries = fresh.recv() => entries.unwrap_or_default(),
                    () = tokio::time::sleep(LOOK_AGAIN), if unheard => Vec::new(),
                };
                while let Ok(more) = fresh.try_recv() {
                    entries.extend(more);
                }
                if entries.is_empty() {
                    // Only after a start or a failure: what is committed and was not told to the coordinator.
                    match outbox::oldest(&db, 256).await {
                        Ok(oldest) => entries = oldest,
                        Err(error) => {
                            tracing::warn!(error = &error as &dyn std::error::Error, "the outbox cannot be read");
                            continue;
                        }
                    }
                    if entries.is_empty() {
                        unheard = false;
                        continue;
                    }
                }
                unheard = !tell_all(&db, &nats, entries).await;
            }
        });
        Self(sender)
    }

    /// Tells the coordinator soon.
    pub(crate) fn tell(&self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            // A stopped task leaves the entries to the next start.
            let _ = self.0.send(entries);
        }
    }
}

/// Whether all of them were heard.
async fn tell_all(db: &Db, nats: &Client, entries: Vec<Entry>) -> bool {
    let count = entries.len();
    let heard: Vec<Entry> = futures::stream::iter(entries)
        .map(|entry| async move {
            let span = info_span!("tell", otel.kind = "producer", command.id = %entry.command_id);
            trace::continue_from_text(&span, &entry.traceparent);
            match tell(nats, &entry).instrument(span).await {
                Ok(()) => Some(entry),
                Err(failure) => {
                    tracing::warn!(
                        command.id = %entry.command_id,
                        error = &failure as &dyn std::error::Error,
                        "the coordinator was not told yet"
                    );
                    None
                }
            }
        })
        .buffered(AT_ONCE)
        .filter_map(|entry| async { entry })
        .collect()
        .await;
    if let Err(error) = outbox::heard(db, &heard).await {
        // Told twice is as good as once: the coordinator knows repeats.
        tracing::warn!(error = &error as &dyn std::error::Error, "the outbox cannot be cleared");
        return false;
    }
    heard.len() == count
}

async fn tell(nats: &Client, entry: &Entry) -> Result<(), Failure> {
    let mut client = FanOutClient::new(NatsChannel::new(nats.clone()));
    match entry.message().map_err(Failure::internal)? {
        Message::Start(request) => client.start_rollout(*request).await.map(|_| ()),
        Message::Cancel(request) => client.cancel_rollout(request).await.map(|_| ()),
    }
    .map_err(Failure::from)
}
