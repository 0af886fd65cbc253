//! What a batch of inputs brings about: gathered, written, and then carried out.

use std::collections::HashSet;

use async_nats::Subject;
use muster_model::{RolloutId, Timestamp};
use muster_proto::fanout::v1::{RecordRequest, Transition};
use muster_wire::Failure;
use prost::Message;

use super::held::{Act, Held, Holdings};
use super::input::Answer;
use super::teller::{CALL_BYTES, CALL_TRANSITIONS};
use crate::contract::history_page;
use crate::domain::{Phase, Progress};
use crate::store::commit::{AcceptedRow, HistoryRow, OutboxRow, RolloutRow, Writes};

/// Most acceptances that are written at once: what is urgent must not wait long for what is not.
const LATE_ROWS: usize = 2_000;

/// What a batch of inputs brings about.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Rollouts that events were applied to.
    pub(crate) touched: HashSet<RolloutId>,
    /// Rollouts that are new.
    pub(crate) accepted: Vec<AcceptedRow>,
    /// Who is answered once it is written.
    pub(crate) answers: Vec<Reply>,
}

/// An answer that waits for the commit.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It is done, or it failed.
    Outcome(Answer, Result<(), Failure>),
    /// What is committed of a node's report.
    Confirm { reply: Subject, id: RolloutId, index: u32 },
    /// A node's report for which nobody waits any more: it may forget it.
    Forget { reply: Subject, last: u64 },
    /// A node's report that must come again.
    Again { reply: Subject, failure: Failure },
}

/// What is to be done with a touched rollout after the commit.
#[derive(Debug)]
pub(crate) struct Aftermath {
    pub(crate) id: RolloutId,
    pub(crate) acts: Vec<Act>,
    pub(crate) settled: bool,
}

/// What has only been accepted since it was sent. If that is forgotten in a crash, the work is sent again and the node
/// says again that it has it: such a target is written with the next change, or after a while.
fn is_merely_accepted(progress: &Progress) -> bool {
    let accepted = Progress {
        phase: Phase::Accepted,
        answered: true,
        ..Progress::SENT_ONCE
    };
    *progress == accepted
}

/// Adds what a rollout has to write; `late` also what could wait until now.
/// Nothing if there is nothing to write or do.
pub(crate) fn gather(held: &mut Held, late: bool, now: Timestamp, writes: &mut Writes) -> Option<Aftermath> {
    let id = held.rollout.id();
    let mut changed = std::mem::take(&mut held.changed);
    if late {
        let some = held.accepted.len().min(LATE_ROWS);
        changed.extend(held.accepted.drain(..some));
    }
    changed.sort_unstable();
    changed.dedup();
    let before = writes.targets.len();
    for index in changed {
        let Some(target) = held.rollout.target(index) else {
            continue;
        };
        if !late && is_merely_accepted(target.progress()) {
            held.accepted.push(index);
        } else if held.rollout.needs_row(index) {
            writes.targets.push((id, index, *target.progress()));
        }
    }
    let settled = late && held.is_settled();
    let idle = writes.targets.len() == before && held.transitions.is_empty() && held.acts.is_empty() && !settled;
    if idle {
        return None;
    }
    for transitions in parts(std::mem::take(&mut held.transitions)) {
        held.told += 1;
        held.untold.insert(held.told);
        writes.outbox.push(OutboxRow {
            rollout: id,
            sequence: held.told,
            transitions: u32::try_from(transitions.len()).unwrap_or(u32::MAX),
            payload: RecordRequest { transitions }.encode_to_vec(),
        });
    }
    if let Some((sequence, page)) = held.diary.take() {
        writes.history.push(HistoryRow {
            rollout: id,
            sequence,
            payload: history_page(&page, 0).encode_to_vec(),
        });
    }
    writes.rollouts.push(RolloutRow {
        id,
        fence: held.fence,
        cancelled: held.rollout.is_cancelled(),
        breached: held.rollout.is_breached(),
        dispatched: held.rollout.cursor(),
        told: held.told,
        settled_at: settled.then_some(now),
    });
    Some(Aftermath {
        id,
        acts: std::mem::take(&mut held.acts),
        settled,
    })
}

/// Cuts news into parts of which each fits into one call.
/// A transition with many long outputs is cut too: its records follow each other in several.
fn parts(transitions: Vec<Transition>) -> Vec<Vec<Transition>> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for transition in transitions.into_iter().flat_map(pieces) {
        let size = transition.encoded_len();
        let full = part.len() >= CALL_TRANSITIONS as usize || bytes + size > CALL_BYTES;
        if full && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.push(transition);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

fn pieces(mut transition: Transition) -> Vec<Transition> {
    if transition.encoded_len() <= CALL_BYTES {
        return vec![transition];
    }
    let records = std::mem::take(&mut transition.records);
    let mut pieces = Vec::new();
    let mut piece = transition.clone();
    for record in records {
        if !piece.records.is_empty() && piece.encoded_len() + record.encoded_len() > CALL_BYTES {
            pieces.push(std::mem::replace(&mut piece, transition.clone()));
        }
        piece.records.push(record);
    }
    pieces.push(piece);
    pieces
}

impl Holdings {
    /// Rollouts that have something to write that could wait.
    pub(crate) fn lagging(&self) -> Vec<RolloutId> {
        let ids = self.ids().into_iter();
        ids.filter(|id| {
            self.get(*id)
                .is_some_and(|held| !held.accepted.is_empty() || held.is_settled())
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::agent::v1::Record;
    use muster_proto::agent::v1::StepResult;
    use muster_proto::agent::v1::record::Fact;

    use super::*;

    fn record(sequence: u64, bytes: usize) -> Record {
        let result = StepResult {
            stdout: "x".repeat(bytes),
            ..StepResult::default()
        };
        Record {
            sequence,
            at: None,
            fact: Some(Fact::StepResult(result)),
        }
    }

    #[test]
    fn news_are_cut_so_that_each_call_is_bounded() {
        let small = Transition::default();
        let counts: Vec<_> = parts(vec![small; 2_500]).iter().map(Vec::len).collect();
        assert_eq!(counts, [1_000, 1_000, 500]);
        assert!(parts(Vec::new()).is_empty());
    }

    #[test]
    fn a_report_with_many_long_outputs_is_told_in_pieces_and_in_order() {
        let big = Transition {
            node_id: "mi-0123456789abcdef0".to_owned(),
            records: (1..=9).map(|sequence| record(sequence, 140_000)).collect(),
            ..Transition::default()
        };
        let parts = parts(vec![big]);
        assert_eq!(parts.len(), 3);
        let sequences = parts
            .iter()
            .flatten()
            .flat_map(|piece| &piece.records)
            .map(|record| record.sequence);
        assert!(sequences.eq(1..=9));
        for piece in parts.iter().flatten() {
            assert_eq!(piece.node_id, "mi-0123456789abcdef0");
            assert!(piece.encoded_len() <= CALL_BYTES);
        }
    }
}
