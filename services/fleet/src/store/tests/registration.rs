//! Machines become nodes, stay the same nodes, and are put out.

use std::collections::{BTreeSet, HashMap, HashSet};

use muster_store::StoreError;

use super::{databases, everybody, machine, node, tags_of};
use crate::domain::facts::Facts;
use crate::store::hello::{Standing, greet};
use crate::store::node::{deregister, last_ping};
use crate::store::register::{Registration, register};
use crate::store::tag;
use crate::store::target::{Named, everything, named};

#[tokio::test]
async fn a_machine_keeps_its_node_unless_it_asks_for_a_new_one() {
    for fresh in databases().await {
        let db = &fresh.db;
        let first = register(db, &[machine("a", &[]), machine("b", &[])], 1).await.unwrap();
        assert_ne!(first[0].node_id, first[1].node_id);
        assert!(!first[0].existing && !first[1].existing);

        let again = register(db, &[machine("c", &[]), machine("a", &[])], 2).await.unwrap();
        assert_eq!((again[0].existing, again[1].existing), (false, true));
        assert_eq!(again[1].node_id, first[0].node_id);

        let new = Registration {
            as_new: true,
            ..machine("a", &[])
        };
        let new = register(db, &[new], 3).await.unwrap().remove(0);
        assert!(!new.existing && new.node_id != first[0].node_id);
        // From now on the machine is the new node; the old one stays until somebody puts it out.
        assert_eq!(node(db, machine("a", &[])).await, new.node_id);
        assert_eq!(everybody(db).await.len(), 4);
    }
}

#[tokio::test]
async fn a_known_machine_tells_new_facts_but_its_name_and_tags_are_the_operators() {
    for fresh in databases().await {
        let db = &fresh.db;
        let id = node(db, machine("a", &[("Role", "web")])).await;
        let changed = Registration {
            name: "another".to_owned(),
            tags: tags_of(&[("Role", "db")]),
            facts: Facts {
                computer_name: "renamed".to_owned(),
                ..Facts::default()
            },
            ..machine("a", &[])
        };
        assert_eq!(node(db, changed).await, id);
        let row = everybody(db).await.remove(0);
        assert_eq!(
            (row.name.as_str(), row.computer_name.as_str()),
            ("name of a", "renamed")
        );
        assert_eq!(tag::of_node(db, &id).await.unwrap(), Some(tags_of(&[("Role", "web")])));
    }
}

#[tokio::test]
async fn a_node_that_was_put_out_is_nowhere_and_its_id_is_not_used_again() {
    for fresh in databases().await {
        let db = &fresh.db;
        let id = node(db, machine("a", &[("Role", "web")])).await;
        deregister(db, &id, 2).await.unwrap();
        assert!(matches!(deregister(db, &id, 3).await, Err(StoreError::Missing)));
        assert!(everybody(db).await.is_empty());
        assert!(everything(db).await.unwrap().is_empty());
        assert_eq!(last_ping(db, &id).await.unwrap(), None);
        assert_eq!(tag::of_node(db, &id).await.unwrap(), None);
        assert_eq!(
            named(db, std::slice::from_ref(&id)).await.unwrap(),
            [Named::Deregistered]
        );
        let hello = HashMap::from([(id.clone(), Facts::default())]);
        let greeted = greet(db, &hello, &HashSet::new(), 4).await.unwrap();
        assert_eq!(greeted.standing[&id], Standing::Deregistered);

        let again = register(db, &[machine("a", &[])], 5).await.unwrap().remove(0);
        assert!(!again.existing && again.node_id != id);
    }
}

#[tokio::test]
async fn two_replicas_that_register_the_same_machines_find_the_same_nodes() {
    for fresh in databases().await {
        let db = &fresh.db;
        let group = |from: usize| -> Vec<_> {
            // In different orders, as two replicas would have them.
            (0..50)
                .map(|number| machine(&format!("m{}", (number + from) % 50), &[("n", "1")]))
                .collect()
        };
        let (one, two) = (group(0), group(25));
        let (one, two) = tokio::join!(register(db, &one, 1), register(db, &two, 1));
        let (one, two) = (one.unwrap(), two.unwrap());
        let ids = |group: &[crate::store::register::Registered]| -> BTreeSet<String> {
            group.iter().map(|each| each.node_id.clone()).collect()
        };
        assert_eq!(ids(&one), ids(&two));
        assert_eq!(everybody(db).await.len(), 50);
        let fresh_nodes = one.iter().chain(&two).filter(|each| !each.existing).count();
        assert_eq!(fresh_nodes, 50);
    }
}
