//! The queries on SQLite, and on PostgreSQL where `MUSTER_TEST_POSTGRES` names a server.

use futures::future::join_all;
use muster_harness::{Folder, Postgres};
use muster_store::Db;

use super::audit::{self, Place, Question};
use super::identity::{self, place};
use super::{access_key, change, policy};
use crate::domain::audit::Entry;
use crate::domain::identity::{Tags, Who};
use crate::domain::secret::SealingKey;
use crate::error::AccessError;
use crate::key_file::KeyRing;

/// Databases of all kinds that this machine can offer, with what keeps them alive.
async fn databases() -> Vec<(Db, Option<Folder>, Option<Postgres>)> {
    let folder = Folder::new("access-store");
    let url = format!("sqlite:{}", folder.join("it.db").display());
    let open = async |url: &str| Db::open(url, "access", &crate::MIGRATIONS).await.unwrap();
    let mut all = vec![(open(&url).await, Some(folder), None)];
    if let Some(postgres) = Postgres::start().await {
        all.push((open(&postgres.url()).await, None, Some(postgres)));
    }
    all
}

fn ring() -> KeyRing {
    KeyRing::of(vec![SealingKey::new("k".to_owned(), [1; 32])])
}

fn new_key(id: &str) -> access_key::NewKey<'_> {
    access_key::NewKey {
        access_key_id: id,
        key_id: "k",
        secret: "sealed",
        now: 1,
    }
}

#[tokio::test]
async fn of_many_that_want_the_last_place_one_gets_it() {
    for (db, _folder, _postgres) in databases().await {
        let alice = Who::user("alice");
        identity::create(&db, &alice, &Tags::new(), 1, 1)
            .await
            .unwrap()
            .unwrap();
        let ids: Vec<_> = (0..8).map(|number| format!("MKIA{number}")).collect();
        let keys: Vec<_> = ids.iter().map(|id| new_key(id)).collect();
        let made = join_all(keys.iter().map(|key| access_key::create(&db, &alice, key))).await;
        assert_eq!(
            made.into_iter()
                .filter(|outcome| outcome.as_ref().unwrap().is_ok())
                .count(),
            2
        );
        let names: Vec<_> = (0..8).map(|number| Who::group(format!("g{number}"))).collect();
        let tags = Tags::new();
        let made = join_all(names.iter().map(|who| identity::create(&db, who, &tags, 3, 1))).await;
        assert_eq!(
            made.into_iter()
                .filter(|outcome| outcome.as_ref().unwrap().is_ok())
                .count(),
            3
        );
    }
}

#[tokio::test]
async fn a_change_is_written_down_with_what_it_changes_and_only_then() {
    for (db, _folder, _postgres) in databases().await {
        let alice = Who::user("alice");
        identity::create(&db, &alice, &Tags::new(), 1, 1)
            .await
            .unwrap()
            .unwrap();
        let refused = identity::create(&db, &Who::user("Alice"), &Tags::new(), 9, 1)
            .await
            .unwrap();
        assert!(matches!(refused, Err(AccessError::Exists { .. })));
        let changes = change::pending(&db).await.unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].principal, Some(place(&alice)));
        assert_eq!(changes[0].epoch, 1);
        change::told(&db, &changes).await.unwrap();
        assert_eq!(change::pending(&db).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_last_use_never_goes_backwards() {
    for (db, _folder, _postgres) in databases().await {
        let alice = Who::user("alice");
        identity::create(&db, &alice, &Tags::new(), 1, 1)
            .await
            .unwrap()
            .unwrap();
        access_key::create(&db, &alice, &new_key("MKIA1"))
            .await
            .unwrap()
            .unwrap();
        for at in [5, 9, 7] {
            let uses = [("MKIA1".to_owned(), at), ("MKIAGONE".to_owned(), at)];
            access_key::used(&db, &uses).await.unwrap();
        }
        let keys = access_key::list(&db, None, "", 10).await.unwrap();
        assert_eq!((keys.len(), keys[0].last_used_at), (1, Some(9)));
    }
}

#[tokio::test]
async fn bootstrapping_twice_changes_nothing_unless_it_replaces() {
    for (db, _folder, _postgres) in databases().await {
        assert!(access_key::bootstrap(&db, &new_key("MKIA1"), false).await.unwrap());
        assert!(!access_key::bootstrap(&db, &new_key("MKIA2"), false).await.unwrap());
        assert!(access_key::sealed(&db, "MKIA2").await.unwrap().is_none());
        assert!(access_key::bootstrap(&db, &new_key("MKIA3"), true).await.unwrap());
        assert!(access_key::sealed(&db, "MKIA1").await.unwrap().is_none());
        let key = access_key::sealed(&db, "MKIA3").await.unwrap().unwrap();
        assert_eq!((key.user_name.as_str(), key.is_active), ("root", true));
        assert_eq!(policy::attachments(&db, "admin").await.unwrap(), 1);
    }
}

#[tokio::test]
async fn writers_that_meet_at_the_end_of_the_log_write_one_behind_the_other() {
    for (db, _folder, _postgres) in databases().await {
        let keys = ring();
        audit::prepare(&db, &keys).await.unwrap();
        let entry = |number: usize| Entry {
            time: 1,
            request_id: number.to_string(),
            ..Entry::default()
        };
        let writes = (0..12).map(|number| audit::append(&db, &keys, vec![entry(number), entry(number + 100)]));
        let mut ends: Vec<i64> = join_all(writes).await.into_iter().map(Result::unwrap).collect();
        ends.sort_unstable();
        assert_eq!(ends, (1..=12).map(|number| number * 2).collect::<Vec<_>>());
        let verdict = audit::verify(&db, &keys, None).await.unwrap();
        assert_eq!((verdict.fault, verdict.records), (None, 24));
        let question = Question {
            place: Place::After(0),
            limit: 100,
            ..Question::default()
        };
        assert_eq!(audit::list(&db, &question).await.unwrap().len(), 24);
    }
}

#[tokio::test]
async fn a_seal_is_of_the_key_that_made_it_and_that_key_may_be_an_older_one() {
    for (db, _folder, _postgres) in databases().await {
        let old = SealingKey::new("old".to_owned(), [2; 32]);
        let new = SealingKey::new("new".to_owned(), [3; 32]);
        let before = KeyRing::of(vec![old.clone()]);
        audit::prepare(&db, &before).await.unwrap();
        audit::append(&db, &before, vec![Entry::default()]).await.unwrap();
        let after = KeyRing::of(vec![new.clone(), old]);
        assert_eq!(audit::verify(&db, &after, None).await.unwrap().fault, None);
        audit::append(&db, &after, vec![Entry::default()]).await.unwrap();
        assert_eq!(access_key::keys_in_use(&db).await.unwrap(), ["new"]);
        assert_eq!(
            audit::verify(&db, &KeyRing::of(vec![new]), None).await.unwrap().fault,
            None
        );
        assert!(audit::verify(&db, &before, None).await.unwrap().fault.is_some());
    }
}
