//! Tells owners what happened to their targets: in order, in batches, again until they have taken it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use muster_boot::{BoxError, Tasks};
use muster_model::RolloutId;
use muster_wire::{CallOptions, Failure, NatsChannel, subject};
use tokio::sync::mpsc;

use super::input::{Input, Inputs};
use super::metrics::Metrics;

/// Most transitions in one call.
pub(crate) const CALL_TRANSITIONS: u32 = 1_000;
/// Most bytes in one call; half of what NATS takes by default.
pub(crate) const CALL_BYTES: usize = 512 * 1024;

/// Pause after a call that failed; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long an owner may take for a call, at first and after several calls that took too long.
/// The first is short: a call that was lost with a dying owner or broker is answered by nobody.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_PATIENCE: Duration = Duration::from_secs(32);

/// Whether a rollout is still this replica's; shared between the rollout and its news.
#[derive(Debug, Clone)]
pub(crate) struct Tenure(Arc<AtomicBool>);

impl Tenure {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// The rollout was given up: whoever takes it over tells what is left.
    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn lasts(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A row of the outbox, committed.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) rollout: RolloutId,
    pub(crate) sequence: i64,
    pub(crate) transitions: u32,
    /// `RecordRequest`, encoded.
    pub(crate) payload: Bytes,
    pub(crate) tenure: Tenure,
}

/// One task for each owner.
#[derive(Debug)]
pub(crate) struct Tellers {
    nats: Client,
    tasks: Tasks,
    coordinator: Inputs,
    metrics: Metrics,
    owners: HashMap<String, mpsc::UnboundedSender<Entry>>,
}

impl Tellers {
    pub(crate) fn new(nats: Client, tasks: Tasks, coordinator: Inputs, metrics: Metrics) -> Self {
        Self {
            nats,
            tasks,
            coordinator,
            metrics,
            owners: HashMap::new(),
        }
    }

    /// Tells an owner soon, after all that it is to be told before.
    pub(crate) fn tell(&mut self, owner: &str, entry: Entry) {
        if let Some(teller) = self.owners.get(owner) {
            // A task that has stopped leaves the entry to the next start.
            let _ = teller.send(entry);
            return;
        }
        let (teller, entries) = mpsc::unbounded_channel();
        let _ = teller.send(entry);
        self.owners.insert(owner.to_owned(), teller);
        let work = Work {
            subject: subject::api(&format!("{owner}Rollouts"), "Record"),
            channel: NatsChannel::new(self.nats.clone()),
            coordinator: self.coordinator.clone(),
            metrics: self.metrics.clone(),
        };
        let stopping = self.tasks.stopping();
        self.tasks.spawn("teller", async move {
            tokio::select! {
                () = stopping.cancelled() => Ok(()),
                ended = work.run(entries) => ended,
            }
        });
    }
}

struct Work {
    subject: String,
    channel: NatsChannel,
    coordinator: Inputs,
    metrics: Metrics,
}

impl Work {
    async fn run(self, mut entries: mpsc::UnboundedReceiver<Entry>) -> Result<(), BoxError> {
        let mut waiting = VecDeque::new();
        let mut fresh = Vec::new();
        loop {
            if waiting.is_empty() && entries.recv_many(&mut fresh, usize::MAX).await == 0 {
                return Ok(());
            }
            while let Ok(entry) = entries.try_recv() {
                fresh.push(entry);
            }
            waiting.extend(fresh.drain(..));
            let call = Call::take(&mut waiting);
            if call.heard.is_empty() {
                continue;
            }
            self.make(call.message).await;
            self.metrics.told.inc_by(u64::from(call.transitions));
            if self.coordinator.send(Input::Heard(call.heard)).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Calls until the owner has taken it.
    async fn make(&self, message: Vec<u8>) {
        let (mut pause, mut timeout) = (FIRST_PAUSE, FIRST_PATIENCE);
        let message = Bytes::from(message);
        loop {
            let channel = self.channel.clone().with_options(CallOptions { timeout });
            let answer = channel
                .request(self.subject.clone(), HeaderMap::new(), message.clone())
                .await;
            let Err(status) = answer else {
                return;
            };
            let failure = Failure::from_status(&status);
            tracing::warn!(
                subject = self.subject,
                error = &failure as &dyn std::error::Error,
                "the owner has not taken the news yet"
            );
            if matches!(failure, Failure::Deadline) {
                timeout = (timeout * 2).min(LONGEST_PATIENCE);
                continue;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Entries that are told together.
#[derive(Debug, Default)]
struct Call {
    /// The entries' messages behind each other, which is their union.
    message: Vec<u8>,
    transitions: u32,
    heard: Vec<(RolloutId, i64)>,
}

impl Call {
    /// As many of the first entries as one call may hold; at least one.
    fn take(waiting: &mut VecDeque<Entry>) -> Self {
        let mut call = Self::default();
        while let Some(entry) = waiting.front() {
            let full = call.transitions + entry.transitions > CALL_TRANSITIONS
                || call.message.len() + entry.payload.len() > CALL_BYTES;
            if full && !call.heard.is_empty() {
                break;
            }
            let Some(entry) = waiting.pop_front() else {
                break;
            };
            if entry.tenure.lasts() {
                call.message.extend_from_slice(&entry.payload);
                call.transitions += entry.transitions;
                call.heard.push((entry.rollout, entry.sequence));
            }
        }
        call
    }
}

#[cfg(test)]
mod tests {
    use muster_model::CommandId;
    use muster_proto::fanout::v1::{RecordRequest, Transition};
    use prost::Message;

    use super::*;

    fn entry(rollout: RolloutId, sequence: i64, transitions: u32) -> Entry {
        let request = RecordRequest {
            transitions: vec![Transition::default(); transitions as usize],
        };
        Entry {
            rollout,
            sequence,
            transitions,
            payload: request.encode_to_vec().into(),
            tenure: Tenure::new(),
        }
    }

    #[test]
    fn entries_are_told_together_up_to_a_limit_and_in_order() {
        let id = RolloutId::from(CommandId::random());
        let mut waiting: VecDeque<_> = (1..=5).map(|sequence| entry(id, sequence, 400)).collect();
        waiting[1].tenure.end();
        let call = Call::take(&mut waiting);
        assert_eq!(call.heard, [(id, 1), (id, 3)]);
        let union = RecordRequest::decode(call.message.as_slice()).unwrap();
        assert_eq!(union.transitions.len(), 800);
        assert_eq!(Call::take(&mut waiting).heard, [(id, 4), (id, 5)]);
    }

    #[test]
    fn an_entry_that_is_too_large_for_any_call_is_told_alone() {
        let id = RolloutId::from(CommandId::random());
        let mut waiting = VecDeque::from([entry(id, 1, CALL_TRANSITIONS + 1), entry(id, 2, 1)]);
        assert_eq!(Call::take(&mut waiting).heard, [(id, 1)]);
    }
}
