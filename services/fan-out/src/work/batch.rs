//! What a batch of inputs brings about: first what is written, then what is carried out.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::Subject;
use muster_model::{RolloutId, Timestamp};
use muster_proto::agent::v1::Record;
use muster_proto::fanout::v1::{RecordRequest, Transition};
use prost::Message;

use super::held::Held;
use super::input::Answer;
use super::metrics::Metrics;
use super::teller::{CALL_BYTES, CALL_TRANSITIONS, Entry};
use crate::contract::{state, wire_time};
use crate::domain::{Effect, Effects, Event, step};
use crate::store::commit::{AcceptedRow, OutboxRow, RolloutRow, Writes};

/// What a batch brings about.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) accepted: Vec<AcceptedRow>,
    pub(crate) heard: Vec<(RolloutId, i64)>,
    pub(crate) touched: BTreeMap<RolloutId, Touched>,
    /// Owners that wait for the commit.
    pub(crate) answers: Vec<Answer>,
    /// Nodes that wait for the commit of their report.
    pub(crate) reports: Vec<Reported>,
}

/// A node that waits for the commit of its report.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) reply: Subject,
    pub(crate) id: RolloutId,
    pub(crate) index: u32,
}

/// What happens to one rollout in a batch.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    effects: Effects,
    /// Sends and cancels.
    pub(crate) acts: Vec<Effect>,
    transitions: Vec<Transition>,
    /// News in calls, once written.
    pub(crate) entries: Vec<Entry>,
    /// Doorbells are to be rung.
    pub(crate) rings: bool,
    /// Nothing is left to do for it.
    pub(crate) settled: bool,
}

impl Batch {
    /// Applies an event to a rollout; `records` came with it.
    pub(crate) fn apply(
        &mut self,
        held: &mut Held,
        event: &Event,
        records: &[Record],
        now: Timestamp,
        metrics: &Metrics,
    ) {
        let touched = self.touched.entry(held.rollout.id()).or_default();
        step(&mut held.rollout, event, now, &mut touched.effects);
        for act in std::mem::take(&mut touched.effects.acts) {
            metrics.count(&act);
            match act {
                Effect::Tell {
                    index,
                    state: next,
                    note,
                    records_after,
                } => {
                    let Some(target) = held.rollout.target(index) else {
                        continue;
                    };
                    let news = records_after.map(|after| {
                        let news = records.iter().filter(|record| record.sequence > after);
                        news.cloned().collect()
                    });
                    touched.transitions.push(Transition {
                        rollout_id: held.rollout.id().to_string(),
                        node_id: target.node.to_string(),
                        state: state(next).into(),
                        at: Some(wire_time(now)),
                        records: news.unwrap_or_default(),
                        note: note.map(|note| note.to_string()).unwrap_or_default(),
                    });
                }
                act @ (Effect::Send { .. } | Effect::SendCancel { .. }) => touched.acts.push(act),
            }
        }
    }

    /// Marks a rollout, so that it is looked at when the batch is written.
    pub(crate) fn touch(&mut self, id: RolloutId) -> &mut Touched {
        self.touched.entry(id).or_default()
    }

    /// Takes what one rollout writes.
    pub(crate) fn write(touched: &mut Touched, held: &mut Held, now: Timestamp, writes: &mut Writes) {
        let id = held.rollout.id();
        let changed: BTreeSet<u32> = touched.effects.changed.drain(..).collect();
        for index in changed {
            let Some(target) = held.rollout.target(index) else {
                continue;
            };
            if held.rows.contains(&index) || held.rollout.needs_row(index) {
                held.rows.insert(index);
                writes.targets.push((id, index, *target.progress()));
            }
        }
        for (transitions, payload) in calls(std::mem::take(&mut touched.transitions)) {
            held.told += 1;
            held.untold += 1;
            touched.entries.push(Entry {
                rollout: id,
                sequence: held.told,
                transitions,
                payload: payload.clone().into(),
                tenure: held.tenure.clone(),
            });
            writes.outbox.push(OutboxRow {
                rollout: id,
                sequence: held.told,
                transitions,
                payload,
            });
        }
        touched.settled = held.rollout.is_finished() && held.untold == 0;
        writes.rollouts.push(RolloutRow {
            id,
            fence: held.fence,
            cancelled: held.rollout.is_cancelled(),
            breached: held.rollout.is_breached(),
            dispatched: held.rollout.cursor(),
            told: held.told,
            settled_at: touched.settled.then_some(now),
        });
    }
}

/// Cuts news into calls: how many there are in each, and the encoded request.
fn calls(transitions: Vec<Transition>) -> Vec<(u32, Vec<u8>)> {
    let mut calls = Vec::new();
    let mut request = RecordRequest::default();
    let mut bytes = 0;
    for transition in transitions {
        let length = transition.encoded_len();
        let full = request.transitions.len() >= CALL_TRANSITIONS as usize || bytes + length > CALL_BYTES;
        if full && !request.transitions.is_empty() {
            calls.push(encoded(&std::mem::take(&mut request)));
            bytes = 0;
        }
        bytes += length;
        request.transitions.push(transition);
    }
    if !request.transitions.is_empty() {
        calls.push(encoded(&request));
    }
    calls
}

fn encoded(request: &RecordRequest) -> (u32, Vec<u8>) {
    let count = u32::try_from(request.transitions.len()).unwrap_or(u32::MAX);
    (count, request.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_cut_into_calls_that_owners_can_take() {
        let many = vec![Transition::default(); 2_500];
        let counts: Vec<_> = calls(many).into_iter().map(|(count, _)| count).collect();
        assert_eq!(counts, [1_000, 1_000, 500]);
        let long = Transition {
            note: "x".repeat(CALL_BYTES / 2),
            ..Transition::default()
        };
        assert_eq!(calls(vec![long; 3]).len(), 3);
        assert!(calls(Vec::new()).is_empty());
    }
}
