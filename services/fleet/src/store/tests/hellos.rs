//! Hellos and heartbeats.

use std::collections::{HashMap, HashSet};

use super::{databases, everybody, machine, node, tags_of};
use crate::domain::facts::Facts;
use crate::store::hello::{Standing, greet};
use crate::store::node::last_ping;
use crate::store::presence::{count, heard, lost};

fn named(name: &str) -> Facts {
    Facts {
        computer_name: name.to_owned(),
        ..Facts::default()
    }
}

#[tokio::test]
async fn a_hello_brings_facts_and_gets_tags() {
    for fresh in databases().await {
        let db = &fresh.db;
        let tagged = node(db, machine("a", &[("Role", "web"), ("Env", "")])).await;
        let plain = node(db, machine("b", &[])).await;
        assert_eq!(last_ping(db, &tagged).await.unwrap(), Some(0));
        let hellos = HashMap::from([
            (tagged.clone(), named("web-1")),
            (plain.clone(), named("")),
            ("mi-00000000000000000".to_owned(), named("stranger")),
        ]);
        let greeted = greet(db, &hellos, &HashSet::new(), 10).await.unwrap();
        let expected = HashMap::from([
            (
                tagged.clone(),
                Standing::Managed(tags_of(&[("Role", "web"), ("Env", "")])),
            ),
            (plain.clone(), Standing::Managed(tags_of(&[]))),
        ]);
        assert_eq!(greeted.standing, expected);
        let mut back = greeted.back;
        back.sort();
        let mut both = vec![tagged.clone(), plain.clone()];
        both.sort();
        assert_eq!(back, both);
        assert_eq!(last_ping(db, &tagged).await.unwrap(), Some(10));
        let names: Vec<_> = everybody(db).await.into_iter().map(|row| row.computer_name).collect();
        assert!(
            names.contains(&"web-1".to_owned()) && names.contains(&String::new()),
            "{names:?}"
        );
        // What another machine tells of itself is not kept.
        let other = HashMap::from([(tagged.clone(), named("stranger"))]);
        greet(db, &other, &HashSet::from([tagged.clone()]), 10).await.unwrap();
        let names: Vec<_> = everybody(db).await.into_iter().map(|row| row.computer_name).collect();
        assert!(!names.contains(&"stranger".to_owned()), "{names:?}");
        // The second hello is no return.
        assert!(greet(db, &hellos, &HashSet::new(), 11).await.unwrap().back.is_empty());
    }
}

#[tokio::test]
async fn a_time_of_a_ping_never_goes_back() {
    for fresh in databases().await {
        let db = &fresh.db;
        let id = node(db, machine("a", &[])).await;
        heard(db, &[(&id, 20)]).await.unwrap();
        heard(db, &[(&id, 15), ("mi-00000000000000000", 99)]).await.unwrap();
        assert_eq!(last_ping(db, &id).await.unwrap(), Some(20));
    }
}

#[tokio::test]
async fn going_away_and_coming_back_are_told_once() {
    for fresh in databases().await {
        let db = &fresh.db;
        let (steady, shaky) = (node(db, machine("a", &[])).await, node(db, machine("b", &[])).await);
        // A node that never came was never there to be lost.
        assert!(lost(db, 100).await.unwrap().is_empty());
        assert_eq!(heard(db, &[(&steady, 10), (&shaky, 10)]).await.unwrap().len(), 2);
        assert!(heard(db, &[(&steady, 20)]).await.unwrap().is_empty());
        assert_eq!(count(db, 9).await.unwrap(), (2, 2));

        assert_eq!(lost(db, 10).await.unwrap(), std::slice::from_ref(&shaky));
        assert!(lost(db, 10).await.unwrap().is_empty());
        assert_eq!(count(db, 10).await.unwrap(), (2, 1));
        assert_eq!(heard(db, &[(&shaky, 30)]).await.unwrap(), std::slice::from_ref(&shaky));
        assert!(heard(db, &[(&shaky, 31)]).await.unwrap().is_empty());
    }
}
