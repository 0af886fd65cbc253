//! Tags are set, overwritten, removed and counted.

use std::collections::BTreeMap;

use super::{databases, machine, node, tags_of};
use crate::store::tag::{Change, add, of_node, remove};

const STRANGER: &str = "mi-00000000000000000";

#[tokio::test]
async fn tags_are_set_overwritten_and_removed() {
    for fresh in databases().await {
        let db = &fresh.db;
        let id = node(db, machine("a", &[("Role", "web")])).await;
        let other = node(db, machine("b", &[("Role", "web")])).await;
        let wanted = tags_of(&[("Role", "db"), ("Env", "it's \"prod\"")]);
        assert_eq!(add(db, &id, &wanted).await.unwrap(), Change::Made);
        assert_eq!(of_node(db, &id).await.unwrap(), Some(wanted.clone()));
        assert_eq!(add(db, &id, &wanted).await.unwrap(), Change::Idle);

        let keys = ["Env".to_owned(), "Absent".to_owned()];
        assert_eq!(remove(db, &id, &keys).await.unwrap(), Change::Made);
        assert_eq!(remove(db, &id, &keys).await.unwrap(), Change::Idle);
        assert_eq!(of_node(db, &id).await.unwrap(), Some(tags_of(&[("Role", "db")])));
        assert_eq!(of_node(db, &other).await.unwrap(), Some(tags_of(&[("Role", "web")])));
        assert_eq!(add(db, &id, &BTreeMap::new()).await.unwrap(), Change::Idle);
    }
}

#[tokio::test]
async fn who_is_not_managed_has_no_tags() {
    for fresh in databases().await {
        let db = &fresh.db;
        assert_eq!(of_node(db, STRANGER).await.unwrap(), None);
        assert_eq!(
            add(db, STRANGER, &tags_of(&[("a", "b")])).await.unwrap(),
            Change::Stranger
        );
        assert_eq!(remove(db, STRANGER, &["a".to_owned()]).await.unwrap(), Change::Stranger);
    }
}

#[tokio::test]
async fn the_fifty_first_tag_is_refused_and_changes_nothing() {
    for fresh in databases().await {
        let db = &fresh.db;
        let id = node(db, machine("a", &[])).await;
        let fifty: BTreeMap<_, _> = (0..50).map(|number| (format!("k{number}"), "v".to_owned())).collect();
        assert_eq!(add(db, &id, &fifty).await.unwrap(), Change::Made);
        let both = tags_of(&[("k0", "new"), ("k50", "new")]);
        assert_eq!(add(db, &id, &both).await.unwrap(), Change::TooMany(51));
        assert_eq!(of_node(db, &id).await.unwrap(), Some(fifty));
        assert_eq!(add(db, &id, &tags_of(&[("k0", "new")])).await.unwrap(), Change::Made);
    }
}

#[tokio::test]
async fn two_changes_at_once_do_not_add_up_to_too_many() {
    for fresh in databases().await {
        let db = &fresh.db;
        let id = node(db, machine("a", &[])).await;
        let thirty = |prefix: &str| -> BTreeMap<_, _> {
            (0..30)
                .map(|number| (format!("{prefix}{number}"), String::new()))
                .collect()
        };
        let (one, two) = (thirty("a"), thirty("b"));
        let (one, two) = tokio::join!(add(db, &id, &one), add(db, &id, &two));
        let changes = [one.unwrap(), two.unwrap()];
        assert!(
            changes.contains(&Change::Made) && changes.contains(&Change::TooMany(60)),
            "{changes:?}"
        );
        assert_eq!(of_node(db, &id).await.unwrap().unwrap().len(), 30);
    }
}
