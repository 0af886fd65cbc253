//! Nodes that were asked for by name, and how long a big fleet takes.

use std::time::Instant;

use super::{databases, machine, node};
use crate::domain::target::Criterion;
use crate::store::node::deregister;
use crate::store::register::register;
use crate::store::target::{Named, everything, matching, named};

#[tokio::test]
async fn names_are_answered_in_their_order() {
    for fresh in databases().await {
        let db = &fresh.db;
        let (a, b) = (node(db, machine("a", &[])).await, node(db, machine("b", &[])).await);
        let gone = node(db, machine("c", &[])).await;
        deregister(db, &gone, 2).await.unwrap();
        let ids = [b.clone(), "web\0".to_owned(), gone, a.clone(), "web".to_owned()];
        let found = named(db, &ids).await.unwrap();
        assert!(matches!(&found[0], Named::Managed(row) if row.node_id == b && row.computer_name == "host of b"));
        assert_eq!(found[1], Named::Unknown);
        assert_eq!(found[2], Named::Deregistered);
        assert!(matches!(&found[3], Named::Managed(row) if row.node_id == a));
        assert_eq!(found[4], Named::Unknown);
    }
}

#[tokio::test]
async fn a_fleet_of_thousands_is_resolved_by_one_statement() {
    for fresh in databases().await {
        let db = &fresh.db;
        let size = 10_000;
        let fleet: Vec<_> = (0..size)
            .map(|number| {
                let rack = format!("r{}", number % 100);
                machine(
                    &format!("m{number}"),
                    &[("Role", "web"), ("Env", "prod"), ("Rack", &rack)],
                )
            })
            .collect();
        let started = Instant::now();
        register(db, &fleet, 1).await.unwrap();
        eprintln!("registering {size} in one transaction: {:?}", started.elapsed());

        let tag = |key: &str, values: &[&str]| Criterion::Tag {
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        for (what, criteria, expected) in [
            ("one tag", vec![tag("Role", &["web"])], size),
            (
                "two tags",
                vec![tag("Role", &["web"]), tag("Env", &["prod", "test"])],
                size,
            ),
            ("a tag's key", vec![Criterion::TagKey(["Rack".to_owned()].into())], size),
            (
                "a narrow tag",
                vec![tag("Role", &["web"]), tag("Rack", &["r7"])],
                size / 100,
            ),
        ] {
            // The first question warms the cache.
            for warm in [false, true] {
                let started = Instant::now();
                let found = matching(db, &criteria).await.unwrap();
                assert_eq!(found.len(), expected, "{what}");
                assert!(found.is_sorted_by(|one, two| one.node_id < two.node_id));
                if warm {
                    eprintln!("{what}: {expected} nodes in {:?}", started.elapsed());
                }
            }
        }
        let started = Instant::now();
        assert_eq!(everything(db).await.unwrap().len(), size);
        eprintln!("everything: {:?}", started.elapsed());
    }
}
