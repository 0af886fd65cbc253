//! The queries, on both databases.

use muster_harness::{Folder, Postgres};
use muster_model::{CommandId, RolloutId, SignedDuration, TargetOutcome, Timestamp};
use muster_store::{Db, StoreError};

use super::commit::{AcceptedRow, HistoryRow, Lease, OutboxRow, RolloutRow, Writes};
use super::{lease, load, retention};
use crate::DATABASE;
use crate::domain::{Phase, Progress, Saved};

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

/// A database, and what it lives in.
struct Store {
    db: Db,
    _folder: Option<Folder>,
    _postgres: Option<Postgres>,
}

/// SQLite, and PostgreSQL where a server is at hand.
async fn stores() -> Vec<Store> {
    let open = async |url: String| Db::open(&url, DATABASE.schema, DATABASE.migrations).await.unwrap();
    let folder = Folder::new("fan-out");
    let mut stores = vec![Store {
        db: open(format!("sqlite:{}", folder.join("db").display())).await,
        _folder: Some(folder),
        _postgres: None,
    }];
    if let Some(postgres) = Postgres::start().await {
        stores.push(Store {
            db: open(postgres.url()).await,
            _folder: None,
            _postgres: Some(postgres),
        });
    }
    stores
}

fn new_id() -> RolloutId {
    CommandId::random().into()
}

fn lease_of(holder: &str, until: Timestamp) -> Lease {
    Lease {
        holder: holder.to_owned(),
        replica: format!("replica of {holder}"),
        until,
    }
}

fn accepted(id: RolloutId, lease: Lease) -> AcceptedRow {
    AcceptedRow {
        id,
        request: vec![0, 1, 2, 255],
        concurrency: 7,
        errors_allowed: 3,
        traceparent: "00-ab-cd-01".to_owned(),
        created_at: at(1),
        lease,
    }
}

fn row(id: RolloutId, fence: i64) -> RolloutRow {
    RolloutRow {
        id,
        fence,
        cancelled: false,
        breached: true,
        dispatched: 5,
        told: 1,
        settled_at: None,
    }
}

fn ended(last_sequence: u64) -> Progress {
    Progress {
        phase: Phase::Ended(TargetOutcome::Failed),
        answered: true,
        last_sequence,
        ..Progress::SENT_ONCE
    }
}

#[tokio::test]
async fn what_a_batch_wrote_is_loaded_again() {
    for Store { db, .. } in &stores().await {
        let id = new_id();
        let parked = Progress {
            phase: Phase::Parked,
            cancel_requested: true,
            late: true,
            ..Progress::default()
        };
        let writes = Writes {
            accepted: vec![accepted(id, lease_of("me", at(10)))],
            rollouts: vec![row(id, 1)],
            targets: vec![(id, 0, ended(4)), (id, 3, parked)],
            outbox: vec![OutboxRow {
                rollout: id,
                sequence: 1,
                transitions: 2,
                payload: vec![9, 8],
            }],
            history: vec![HistoryRow {
                rollout: id,
                sequence: 1,
                payload: vec![7],
            }],
            heard: Vec::new(),
        };
        writes.commit(db).await.unwrap();
        assert_eq!(load::history(db, id, 0, 9).await.unwrap(), [(1, vec![7])]);
        assert!(load::history(db, id, 1, 9).await.unwrap().is_empty());
        assert_eq!(load::history_end(db, id).await.unwrap(), 1);
        assert_eq!(load::history_end(db, new_id()).await.unwrap(), 0);

        let stored = load::rollout(db, id).await.unwrap().unwrap();
        assert_eq!(stored.request, [0, 1, 2, 255]);
        assert_eq!((stored.concurrency, stored.errors_allowed, stored.told), (7, 3, 1));
        assert_eq!(stored.traceparent, "00-ab-cd-01");
        let saved = Saved {
            cancelled: false,
            breached: true,
            cursor: 5,
            progress: vec![(0, ended(4)), (3, parked)],
        };
        assert_eq!(stored.saved, saved);
        let untold = load::untold(db, id).await.unwrap();
        assert_eq!((untold[0].sequence, untold[0].transitions), (1, 2));
        assert_eq!(untold[0].payload, [9, 8]);

        // The next batch changes a row that is there, and forgets what the owner has taken.
        let next = Writes {
            rollouts: vec![row(id, 1)],
            targets: vec![(id, 0, ended(6))],
            heard: vec![(id, 1)],
            ..Writes::default()
        };
        next.commit(db).await.unwrap();
        let stored = load::rollout(db, id).await.unwrap().unwrap();
        assert_eq!(stored.saved.progress, [(0, ended(6)), (3, parked)]);
        assert!(load::untold(db, id).await.unwrap().is_empty());
        assert!(load::rollout(db, new_id()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn whoever_lost_a_rollout_writes_nothing_of_the_whole_batch() {
    for Store { db, .. } in &stores().await {
        let (kept, lost) = (new_id(), new_id());
        let rows = [kept, lost].map(|id| accepted(id, lease_of("me", at(10))));
        let writes = Writes {
            accepted: rows.into(),
            ..Writes::default()
        };
        writes.commit(db).await.unwrap();
        let fence = lease::claim(db, lost, "me", 1, &lease_of("other", at(20)))
            .await
            .unwrap();
        assert_eq!(fence, Some(2));

        let stale = Writes {
            rollouts: vec![row(kept, 1), row(lost, 1)],
            targets: vec![(kept, 0, ended(1)), (lost, 0, ended(1))],
            ..Writes::default()
        };
        assert!(matches!(stale.commit(db).await, Err(StoreError::Conflict { .. })));
        for id in [kept, lost] {
            assert_eq!(load::rollout(db, id).await.unwrap().unwrap().saved, Saved::default());
        }
    }
}

#[tokio::test]
async fn a_rollout_is_accepted_once() {
    for Store { db, .. } in &stores().await {
        let id = new_id();
        let writes = |holder| Writes {
            accepted: vec![accepted(id, lease_of(holder, at(10)))],
            ..Writes::default()
        };
        writes("one").commit(db).await.unwrap();
        assert!(matches!(
            writes("two").commit(db).await,
            Err(StoreError::Conflict { .. })
        ));
        let owned = load::ownerships(db, &[id, new_id()], at(5)).await.unwrap();
        assert_eq!(owned.len(), 1);
        assert_eq!(owned[0].1.holder, "one");
    }
}

#[tokio::test]
async fn a_rollout_changes_hands_only_when_its_holder_is_silent_or_its_own_former_self() {
    for Store { db, .. } in &stores().await {
        let id = new_id();
        let writes = Writes {
            accepted: vec![accepted(id, lease_of("first life", at(10)))],
            ..Writes::default()
        };
        writes.commit(db).await.unwrap();
        assert_eq!(lease::held(db, "first life").await.unwrap(), [id]);
        assert!(lease::abandoned(db, "other", at(10)).await.unwrap().is_empty());
        lease::renew(db, &lease_of("first life", at(13))).await.unwrap();
        assert!(lease::abandoned(db, "other", at(13)).await.unwrap().is_empty());
        assert_eq!(lease::abandoned(db, "other", at(14)).await.unwrap(), [id]);
        assert!(lease::abandoned(db, "first life", at(14)).await.unwrap().is_empty());

        let mut reborn = lease_of("second life", at(20));
        reborn.replica = "replica of first life".to_owned();
        assert_eq!(lease::of_former_lives(db, &reborn).await.unwrap(), [id]);
        let fence = lease::claim(db, id, "first life", 1, &reborn).await.unwrap();
        assert_eq!(fence, Some(2));
        // Somebody who saw the same and is slower gets nothing.
        let slow = lease::claim(db, id, "first life", 1, &lease_of("slow", at(30))).await;
        assert_eq!(slow.unwrap(), None);
        assert!(lease::of_former_lives(db, &reborn).await.unwrap().is_empty());

        lease::release(db, "second life").await.unwrap();
        assert_eq!(lease::abandoned(db, "other", at(1)).await.unwrap(), [id]);
    }
}

#[tokio::test]
async fn only_what_was_settled_long_ago_is_forgotten() {
    for Store { db, .. } in &stores().await {
        let ids = [new_id(), new_id(), new_id(), new_id()];
        let mut rollouts: Vec<_> = ids.iter().map(|id| row(*id, 1)).collect();
        for (row, settled_at) in rollouts
            .iter_mut()
            .zip([Some(at(100)), Some(at(101)), Some(at(500)), None])
        {
            row.settled_at = settled_at;
        }
        let writes = Writes {
            accepted: ids.iter().map(|id| accepted(*id, lease_of("me", at(10)))).collect(),
            rollouts,
            targets: ids.iter().map(|id| (*id, 0, ended(1))).collect(),
            ..Writes::default()
        };
        writes.commit(db).await.unwrap();
        assert_eq!(retention::forget(db, at(200), 1).await.unwrap(), 1);
        assert_eq!(retention::forget(db, at(200), 5).await.unwrap(), 1);
        assert_eq!(retention::forget(db, at(200), 5).await.unwrap(), 0);
        let mut left = 0;
        for id in ids {
            left += usize::from(load::rollout(db, id).await.unwrap().is_some());
        }
        assert_eq!(left, 2);
        assert_eq!(lease::held(db, "me").await.unwrap(), [ids[3]]);
        // A late report opens a settled one again.
        assert_eq!(
            lease::claim(db, ids[2], "me", 1, &lease_of("me", at(600)))
                .await
                .unwrap(),
            Some(2)
        );
        assert_eq!(lease::held(db, "me").await.unwrap().len(), 2);
    }
}
