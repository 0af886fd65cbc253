//! What a batch of events writes, in one transaction.

use muster_model::{RolloutId, Timestamp};
use muster_store::{Column, Db, StoreError, json, transact};

use super::row::{encode, micros, word};
use crate::domain::Progress;

/// Everything that a batch writes.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Rollouts that were just accepted.
    pub(crate) accepted: Vec<AcceptedRow>,
    /// Every rollout that this batch touches; each one's fence is checked.
    pub(crate) rollouts: Vec<RolloutRow>,
    /// Targets whose progress changed.
    pub(crate) targets: Vec<(RolloutId, u32, Progress)>,
    /// News for owners.
    pub(crate) outbox: Vec<OutboxRow>,
    /// What happened.
    pub(crate) history: Vec<HistoryRow>,
    /// News that owners have taken.
    pub(crate) heard: Vec<(RolloutId, i64)>,
}

/// A rollout as it was accepted.
#[derive(Debug)]
pub(crate) struct AcceptedRow {
    pub(crate) id: RolloutId,
    /// `StartRolloutRequest`, encoded.
    pub(crate) request: Vec<u8>,
    pub(crate) concurrency: u32,
    pub(crate) errors_allowed: u32,
    pub(crate) traceparent: String,
    pub(crate) created_at: Timestamp,
    pub(crate) lease: Lease,
}

/// A claim on a rollout.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) holder: String,
    pub(crate) replica: String,
    pub(crate) until: Timestamp,
}

/// How a rollout stands after the batch.
#[derive(Debug)]
pub(crate) struct RolloutRow {
    pub(crate) id: RolloutId,
    pub(crate) fence: i64,
    pub(crate) cancelled: bool,
    pub(crate) breached: bool,
    pub(crate) dispatched: u32,
    pub(crate) told: i64,
    pub(crate) settled_at: Option<Timestamp>,
}

/// One call's worth of news for an owner.
#[derive(Debug)]
pub(crate) struct OutboxRow {
    pub(crate) rollout: RolloutId,
    pub(crate) sequence: i64,
    pub(crate) transitions: u32,
    /// `RecordRequest`, encoded.
    pub(crate) payload: Vec<u8>,
}

/// What happened to a rollout in this batch.
#[derive(Debug)]
pub(crate) struct HistoryRow {
    pub(crate) rollout: RolloutId,
    pub(crate) sequence: i64,
    /// `HistoryPage`, encoded.
    pub(crate) payload: Vec<u8>,
}

const ACCEPT: &str = "
    insert into rollout (rollout_id, request, concurrency, errors_allowed, traceparent, created_at, cancelled,
        breached, dispatched, told, settled_at, holder, replica, lease_until, fence)
    select r.rollout_id, r.request, r.concurrency, r.errors_allowed, r.traceparent, r.created_at, false,
        false, 0, 0, null, r.holder, r.replica, r.lease_until, 1
    from {rows} as r";
const ACCEPT_COLUMNS: [Column; 9] = [
    Column::Text("rollout_id"),
    Column::Text("request"),
    Column::BigInt("concurrency"),
    Column::BigInt("errors_allowed"),
    Column::Text("traceparent"),
    Column::BigInt("created_at"),
    Column::Text("holder"),
    Column::Text("replica"),
    Column::BigInt("lease_until"),
];

// The condition on the fence is what keeps a replica that lost a rollout, and does not know it yet, from writing.
const UPDATE: &str = "
    update rollout set cancelled = r.cancelled, breached = r.breached, dispatched = r.dispatched, told = r.told,
        settled_at = r.settled_at
    from {rows} as r where rollout.rollout_id = r.rollout_id and rollout.fence = r.fence";
const UPDATE_COLUMNS: [Column; 7] = [
    Column::Text("rollout_id"),
    Column::BigInt("fence"),
    Column::Boolean("cancelled"),
    Column::Boolean("breached"),
    Column::BigInt("dispatched"),
    Column::BigInt("told"),
    Column::BigInt("settled_at"),
];

const TARGETS: &str = "
    insert into rollout_target (rollout_id, position, phase, attempts, maybe_delivered, answered, late,
        cancel_requested, last_sequence)
    select r.rollout_id, r.position, r.phase, r.attempts, r.maybe_delivered, r.answered, r.late,
        r.cancel_requested, r.last_sequence
    from {rows} as r where true
    on conflict (rollout_id, position) do update set phase = excluded.phase, attempts = excluded.attempts,
        maybe_delivered = excluded.maybe_delivered, answered = excluded.answered, late = excluded.late,
        cancel_requested = excluded.cancel_requested, last_sequence = excluded.last_sequence";
const TARGET_COLUMNS: [Column; 9] = [
    Column::Text("rollout_id"),
    Column::BigInt("position"),
    Column::Text("phase"),
    Column::BigInt("attempts"),
    Column::BigInt("maybe_delivered"),
    Column::Boolean("answered"),
    Column::Boolean("late"),
    Column::Boolean("cancel_requested"),
    Column::BigInt("last_sequence"),
];

const TELL: &str = "
    insert into outbox (rollout_id, sequence, transitions, payload)
    select r.rollout_id, r.sequence, r.transitions, r.payload from {rows} as r";
const TELL_COLUMNS: [Column; 4] = [
    Column::Text("rollout_id"),
    Column::BigInt("sequence"),
    Column::BigInt("transitions"),
    Column::Text("payload"),
];

const HISTORY: &str = "
    insert into rollout_history (rollout_id, sequence, payload)
    select r.rollout_id, r.sequence, r.payload from {rows} as r";
const HISTORY_COLUMNS: [Column; 3] = [
    Column::Text("rollout_id"),
    Column::BigInt("sequence"),
    Column::Text("payload"),
];

const HEARD: &str = "
    delete from outbox where (rollout_id, sequence) in (select r.rollout_id, r.sequence from {rows} as r)";
const HEARD_COLUMNS: [Column; 2] = [Column::Text("rollout_id"), Column::BigInt("sequence")];

impl Writes {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.accepted.is_empty() && self.rollouts.is_empty() && self.heard.is_empty()
    }

    /// Writes all of it, or nothing.
    ///
    /// # Errors
    /// `Conflict` if a rollout is not this replica's any more, or another replica accepted it at the same time.
    pub(crate) async fn commit(&self, db: &Db) -> Result<(), StoreError> {
        let (accepted, rollouts) = (self.accepted_rows(), self.rollout_rows());
        let (targets, outbox, heard) = (self.target_rows(), self.outbox_rows(), self.heard_rows());
        let history = self.history_rows();
        transact!(db, tx => {
            if !self.accepted.is_empty() {
                sqlx::query(db.with_rows(ACCEPT, &ACCEPT_COLUMNS)).bind(accepted).execute(&mut *tx).await?;
            }
            if !self.rollouts.is_empty() {
                let sql = db.with_rows(UPDATE, &UPDATE_COLUMNS);
                let updated = sqlx::query(sql).bind(rollouts).execute(&mut *tx).await?.rows_affected();
                if updated != self.rollouts.len() as u64 {
                    return Err(StoreError::Conflict { constraint: "fence".to_owned() });
                }
            }
            if !self.targets.is_empty() {
                sqlx::query(db.with_rows(TARGETS, &TARGET_COLUMNS)).bind(targets).execute(&mut *tx).await?;
            }
            if !self.outbox.is_empty() {
                sqlx::query(db.with_rows(TELL, &TELL_COLUMNS)).bind(outbox).execute(&mut *tx).await?;
            }
            if !self.history.is_empty() {
                sqlx::query(db.with_rows(HISTORY, &HISTORY_COLUMNS)).bind(history).execute(&mut *tx).await?;
            }
            if !self.heard.is_empty() {
                sqlx::query(db.with_rows(HEARD, &HEARD_COLUMNS)).bind(heard).execute(&mut *tx).await?;
            }
            Ok(())
        })
    }

    fn accepted_rows(&self) -> String {
        let row = |row: &AcceptedRow| {
            (
                row.id,
                encode(&row.request),
                row.concurrency,
                row.errors_allowed,
                row.traceparent.clone(),
                micros(row.created_at),
                row.lease.holder.clone(),
                row.lease.replica.clone(),
                micros(row.lease.until),
            )
        };
        json(&self.accepted.iter().map(row).collect::<Vec<_>>())
    }

    fn rollout_rows(&self) -> String {
        let row = |row: &RolloutRow| {
            (
                row.id,
                row.fence,
                row.cancelled,
                row.breached,
                row.dispatched,
                row.told,
                row.settled_at.map(micros),
            )
        };
        json(&self.rollouts.iter().map(row).collect::<Vec<_>>())
    }

    fn target_rows(&self) -> String {
        let row = |(rollout, position, progress): &(RolloutId, u32, Progress)| {
            (
                *rollout,
                *position,
                word(progress.phase),
                progress.attempts,
                progress.maybe_delivered,
                progress.answered,
                progress.late,
                progress.cancel_requested,
                progress.last_sequence,
            )
        };
        json(&self.targets.iter().map(row).collect::<Vec<_>>())
    }

    fn outbox_rows(&self) -> String {
        let row = |row: &OutboxRow| (row.rollout, row.sequence, row.transitions, encode(&row.payload));
        json(&self.outbox.iter().map(row).collect::<Vec<_>>())
    }

    fn history_rows(&self) -> String {
        let row = |row: &HistoryRow| (row.rollout, row.sequence, encode(&row.payload));
        json(&self.history.iter().map(row).collect::<Vec<_>>())
    }

    fn heard_rows(&self) -> String {
        json(&self.heard)
    }
}
