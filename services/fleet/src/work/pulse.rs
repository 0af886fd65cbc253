//! Hears heartbeats, keeps them in memory, and writes them down together now and then (fleet 4).
//!
//! What this replica heard is seen by its own readers at once, before it is written. A replica that dies forgets at
//! most the last few seconds; the next heartbeat makes up for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures::StreamExt;
use futures::stream::ReadyChunks;
use muster_boot::{BoxError, NodeQuota, Parts};
use muster_model::{Clock, NodeId, SignedDuration, Timestamp};
use muster_proto::agent::v1::Heartbeat;
use muster_proto::fleet::v1::PingStatus;
use muster_store::{Db, StoreError};
use muster_wire::subject;
use prost::Message as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::Settings;
use crate::domain::ping::cutoff;
use crate::store::presence;
use crate::work::{Metrics, News};

/// Replicas share the heartbeats.
const QUEUE: &str = "fleet";
/// Most heartbeats that are noted with one look at the clock.
const GROUP: usize = 4_096;
/// Microseconds between two times that a node is told of that does not obey something.
const ALARM_PAUSE: i64 = 30_000_000;
/// Characters of what a node says that it does not obey.
const LONGEST_REASON: usize = 500;
/// Most rows in one statement.
const ROWS: usize = 10_000;

/// When nodes were last heard of.
#[derive(Debug)]
pub(crate) struct Pulse {
    db: Db,
    news: News,
    beats: Mutex<Beats>,
    /// Held while beats are written.
    writing: tokio::sync::Mutex<()>,
}

/// Times in microseconds, by node.
#[derive(Debug, Default)]
struct Beats {
    /// Not written down.
    fresh: HashMap<String, i64>,
    /// Being written down, or given up half-way: nobody knows whether it is stored.
    unsure: Arc<HashMap<String, i64>>,
}

impl Beats {
    fn note(&mut self, node_id: &str, at: i64) {
        match self.fresh.get_mut(node_id) {
            Some(known) => *known = at.max(*known),
            None => {
                self.fresh.insert(node_id.to_owned(), at);
            }
        }
    }

    fn last(&self, node_id: &str) -> Option<i64> {
        self.fresh.get(node_id).max(self.unsure.get(node_id)).copied()
    }

    /// Takes all that may not be stored. It stays visible until [`Beats::written`].
    fn take(&mut self) -> Arc<HashMap<String, i64>> {
        let mut all = std::mem::take(&mut self.fresh);
        for (node_id, at) in self.unsure.iter() {
            let known = all.entry(node_id.clone()).or_insert(*at);
            *known = (*known).max(*at);
        }
        self.unsure = Arc::new(all);
        Arc::clone(&self.unsure)
    }

    /// What was taken last is stored.
    fn written(&mut self) {
        self.unsure = Arc::default();
    }
}

impl Pulse {
    /// Nothing heard yet.
    pub(crate) fn new(db: Db, news: News) -> Self {
        Self {
            db,
            news,
            beats: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a node was last heard of, in microseconds, by what is stored and by what this replica heard since.
    pub(crate) fn last(&self, node_id: &str, stored: i64) -> i64 {
        self.beats().last(node_id).unwrap_or(stored).max(stored)
    }

    /// Writes down what was heard. When this returns, readers of the tables know it.
    ///
    /// # Errors
    /// If the database does not take it; then it is kept for the next time.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let one_at_a_time = self.writing.lock().await;
        let taken = self.beats().take();
        let mut pings: Vec<(&str, i64)> = taken.iter().map(|(node_id, at)| (node_id.as_str(), *at)).collect();
        // Replicas that write the same nodes take them in the same order.
        pings.sort_unstable();
        let mut back = Vec::new();
        for rows in pings.chunks(ROWS) {
            back.extend(presence::heard(&self.db, rows).await?);
        }
        self.beats().written();
        drop(one_at_a_time);
        self.news.connection(&back, PingStatus::Online).await;
        Ok(())
    }
}

/// Starts hearing and writing.
///
/// # Errors
/// If the bus does not take the subscription.
pub(crate) async fn start(
    parts: &Parts,
    settings: Settings,
    pulse: Arc<Pulse>,
    metrics: Metrics,
) -> Result<(), BoxError> {
    let subject = subject::up_of_all(subject::UP_HEARTBEAT);
    let heartbeats = parts.nats.queue_subscribe(subject, QUEUE.to_owned()).await?;
    let clock = Arc::clone(&parts.clock);
    let listener = Listener {
        heartbeats: heartbeats.ready_chunks(GROUP),
        // What was said while nobody listened is lost: who is silent now may have been there all the time.
        patient_until: clock.now() + SignedDuration::from_secs(i64::from(settings.connection_lost_seconds)),
        clock,
        settings,
        pulse,
        metrics,
        quota: parts.node_quota.clone(),
        alarms: HashMap::new(),
    };
    parts.tasks.spawn("pulse", listener.listen(parts.tasks.stopping()));
    Ok(())
}

struct Listener {
    heartbeats: ReadyChunks<Subscriber>,
    patient_until: Timestamp,
    clock: Arc<dyn Clock>,
    settings: Settings,
    pulse: Arc<Pulse>,
    metrics: Metrics,
    quota: NodeQuota,
    /// When a node last said that it does not obey something: each is told of now and then, however often it says so.
    alarms: HashMap<NodeId, i64>,
}

impl Listener {
    async fn listen(mut self, stopping: CancellationToken) -> Result<(), BoxError> {
        let mut tick = tokio::time::interval(Duration::from_secs(u64::from(self.settings.flush_seconds)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                _ = tick.tick() => self.write_down().await,
                heard = self.heartbeats.next() => match heard {
                    Some(messages) => self.note(&messages).await,
                    None => return Err("the bus ended the subscription to heartbeats".into()),
                },
            }
        }
        // Other replicas hear the rest from now on; what is here already is noted.
        if self.heartbeats.get_mut().unsubscribe().await.is_ok() {
            while let Some(messages) = self.heartbeats.next().await {
                self.note(&messages).await;
            }
        }
        self.write_down().await;
        Ok(())
    }

    /// Whoever a heartbeat claims to be from inside, it is from whom the subject says.
    async fn note(&mut self, messages: &[Message]) {
        let now = self.clock.now().as_microsecond();
        let mut distrustful = Vec::new();
        {
            let mut beats = self.pulse.beats();
            for message in messages {
                let Ok(node) = subject::node_of(&message.subject) else {
                    continue;
                };
                if !self.quota.hears(message) {
                    continue;
                }
                beats.note(node.as_str(), now);
                let beat = Heartbeat::decode(message.payload.as_ref()).unwrap_or_default();
                if beat.distrusted > 0 && is_news(&mut self.alarms, &node, now) {
                    distrustful.push((node, beat));
                }
            }
        }
        self.metrics.heartbeats.inc_by(messages.len() as u64);
        for (node, beat) in distrustful {
            let reason: String = beat.distrust.chars().take(LONGEST_REASON).collect();
            tracing::warn!(
                node = node.as_str(),
                count = beat.distrusted,
                reason,
                "a node was sent what it does not obey"
            );
            self.pulse.news.distrusts(node.as_str(), beat.distrusted, &reason).await;
        }
    }

    async fn write_down(&self) {
        if let Err(error) = self.try_to_write_down().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "heartbeats were not written down yet"
            );
        }
    }

    async fn try_to_write_down(&self) -> Result<(), StoreError> {
        self.pulse.flush().await?;
        let now = self.clock.now();
        let cutoff = cutoff(now, self.settings.connection_lost_seconds);
        if now >= self.patient_until {
            let lost = presence::lost(&self.pulse.db, cutoff).await?;
            self.pulse.news.connection(&lost, PingStatus::ConnectionLost).await;
        }
        let (nodes, online) = presence::count(&self.pulse.db, cutoff).await?;
        self.metrics.nodes.set(nodes);
        self.metrics.online_nodes.set(online);
        Ok(())
    }
}

/// Whether a node may be told of again, which is remembered.
fn is_news(alarms: &mut HashMap<NodeId, i64>, node: &NodeId, now: i64) -> bool {
    if alarms.get(node).is_some_and(|before| now - before < ALARM_PAUSE) {
        return false;
    }
    if alarms.len() >= GROUP {
        alarms.retain(|_, before| now - *before < ALARM_PAUSE);
    }
    alarms.insert(node.clone(), now);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_complains_all_the_time_is_told_of_now_and_then() {
        let mut alarms = HashMap::new();
        let [one, two] = ["mi-0123456789abcdef0", "mi-0123456789abcdef1"].map(|id| id.parse::<NodeId>().unwrap());
        assert!(is_news(&mut alarms, &one, 0) && is_news(&mut alarms, &two, 1));
        assert!(!is_news(&mut alarms, &one, ALARM_PAUSE - 1));
        assert!(is_news(&mut alarms, &one, ALARM_PAUSE));
    }

    #[test]
    fn a_beat_is_seen_until_it_is_written_and_written_once() {
        let mut beats = Beats::default();
        beats.note("mi-a", 5);
        beats.note("mi-a", 4);
        assert_eq!((beats.last("mi-a"), beats.last("mi-b")), (Some(5), None));
        assert_eq!(beats.take()["mi-a"], 5);
        assert_eq!(beats.last("mi-a"), Some(5));
        beats.written();
        assert_eq!(beats.last("mi-a"), None);
        assert!(beats.take().is_empty());
    }

    #[test]
    fn what_was_not_written_is_taken_again() {
        let mut beats = Beats::default();
        beats.note("mi-a", 5);
        beats.note("mi-b", 6);
        let lost = beats.take();
        assert_eq!(lost.len(), 2);
        beats.note("mi-a", 9);
        assert_eq!((beats.last("mi-a"), beats.last("mi-b")), (Some(9), Some(6)));
        let again = beats.take();
        assert_eq!((again["mi-a"], again["mi-b"]), (9, 6));
    }
}
