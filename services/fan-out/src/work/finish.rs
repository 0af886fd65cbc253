//! The end of a batch: it is written, and only then carried out.

use muster_model::{RolloutId, Timestamp};
use muster_store::StoreError;
use tokio::time::Instant;

use super::batch::{Aftermath, Reply, gather};
use super::coordinator::Coordinator;
use super::delivery::Delivery;
use super::held::Held;
use super::input::Answer;
use super::teller::Entry;
use crate::error::{from_store, unavailable};
use crate::store::commit::{OutboxRow, Writes};

/// Messages that are signed and sent together.
const AT_ONCE: usize = 1_024;

impl Coordinator {
    /// Writes what the batch brought about, and carries it out if that went well.
    pub(super) async fn finish_batch(&mut self, now: Timestamp) {
        let batch = std::mem::take(&mut self.batch);
        for id in &batch.touched {
            self.holdings.note_wake(*id);
        }
        let mut writes = Writes {
            accepted: batch.accepted,
            ..Writes::default()
        };
        let mut aftermath: Vec<Aftermath> = Vec::new();
        let late = self.late_at.is_some_and(|due| due <= now);
        let mut ids = batch.touched;
        if late {
            self.late_at = None;
            ids.extend(self.holdings.lagging());
            writes.heard = std::mem::take(&mut self.heard);
        }
        for id in ids {
            if let Some(held) = self.holdings.get_mut(id) {
                aftermath.extend(gather(held, late, now, &mut writes));
                if !held.accepted.is_empty() || held.is_settled() {
                    self.write_late(now);
                }
            }
        }
        let written = self.write(&writes).await;
        match written {
            Ok(()) => {
                self.tell_owners(writes.outbox);
                self.answer(batch.answers).await;
                self.carry_out(aftermath, now).await;
            }
            Err(error) => {
                self.heard.append(&mut writes.heard);
                self.write_late(now);
                let lost = aftermath.iter().map(|lost| lost.id);
                let lost = lost.chain(writes.accepted.iter().map(|row| row.id)).collect();
                self.give_up(lost, batch.answers, error).await;
            }
        }
        self.metrics
            .held
            .set(i64::try_from(self.holdings.len()).unwrap_or(i64::MAX));
    }

    async fn write(&self, writes: &Writes) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        writes.commit(&self.db).await?;
        self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        Ok(())
    }

    fn tell_owners(&mut self, outbox: Vec<OutboxRow>) {
        for row in outbox {
            if let Some(held) = self.holdings.get(row.rollout) {
                let entry = Entry {
                    rollout: row.rollout,
                    sequence: row.sequence,
                    transitions: row.transitions,
                    payload: row.payload.into(),
                    tenure: held.tenure.clone(),
                };
                self.tellers.tell(&held.owner, entry);
            }
        }
    }

    /// News that were in the outbox already.
    pub(super) fn tell_owner(&mut self, owner: &str, entry: Entry) {
        self.tellers.tell(owner, entry);
    }

    async fn carry_out(&mut self, aftermath: Vec<Aftermath>, now: Timestamp) {
        for Aftermath { id, acts, settled } in aftermath {
            let Some(Held { rollout, parcel, .. }) = self.holdings.get(id) else {
                continue;
            };
            // A part at a time, so that the first are on their way while the next are signed.
            for acts in acts.chunks(AT_ONCE) {
                let letters = acts
                    .iter()
                    .filter_map(|act| Delivery::letter(parcel, rollout, *act, now));
                for (letter, signature) in self.seal.sign_all(letters.collect()).await {
                    self.delivery.send(letter, signature).await;
                }
            }
            if settled {
                self.holdings.remove(id);
            }
        }
    }

    async fn answer(&self, answers: Vec<Reply>) {
        for answer in answers {
            match answer {
                // A caller that went away does not need the answer.
                Reply::Outcome(Answer::Call(call), outcome) => drop(call.send(outcome)),
                Reply::Outcome(Answer::Bus(reply), Ok(())) => self.delivery.answer(reply, bytes::Bytes::new()).await,
                Reply::Outcome(Answer::Bus(reply), Err(failure)) => self.delivery.fail(reply, failure).await,
                Reply::Confirm { reply, id, index } => {
                    let target = self.holdings.get(id).and_then(|held| held.rollout.target(index));
                    let confirmed = target.map_or(0, |target| target.progress().last_sequence);
                    self.delivery.confirm(reply, confirmed).await;
                }
                Reply::Forget { reply, last } => self.delivery.confirm(reply, last).await,
                Reply::Again { reply, failure } => self.delivery.fail(reply, failure).await,
            }
        }
    }

    /// The batch is not written: what is in memory is not true, so it is forgotten and loaded again.
    /// Nothing has gone out; whoever waits is told to ask again.
    async fn give_up(&mut self, lost: Vec<RolloutId>, answers: Vec<Reply>, error: StoreError) {
        self.metrics.lost_batches.inc();
        for id in lost {
            self.holdings.remove(id);
        }
        let mut error = Some(error);
        for answer in answers {
            let failure = match error.take() {
                Some(error) => from_store(error),
                None => unavailable("the database of fan-out"),
            };
            match answer {
                Reply::Outcome(Answer::Call(call), outcome) => drop(call.send(outcome.and(Err(failure)))),
                Reply::Outcome(Answer::Bus(reply), _)
                | Reply::Confirm { reply, .. }
                | Reply::Forget { reply, .. }
                | Reply::Again { reply, .. } => self.delivery.fail(reply, failure).await,
            }
        }
        if let Some(error) = error {
            let failure = from_store(error);
            tracing::warn!(error = &failure as &dyn std::error::Error, "a batch was not written");
        }
    }
}
