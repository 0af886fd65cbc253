//! The queries on SQLite, and on PostgreSQL where `MUSTER_TEST_POSTGRES` names a server.

use std::collections::BTreeMap;

use muster_model::{Target, TargetKey};
use muster_proto::agent::v1::NodeFacts;
use muster_proto::aws::v1::Tag;
use muster_store::{Db, StoreError};

use crate::store::register::{Registration, register};
use crate::store::{node, ping, tag, target};

async fn databases(name: &str) -> Vec<(Db, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("it.db").display());
    let mut all = vec![(Db::open(&url, name, &crate::MIGRATIONS).await.unwrap(), folder)];
    if let Ok(url) = std::env::var("MUSTER_TEST_POSTGRES") {
        let schema = format!("fleet_{name}_{}", std::process::id());
        let db = Db::open(&url, &schema, &crate::MIGRATIONS).await.unwrap();
        all.push((db, tempfile::tempdir().unwrap()));
    }
    all
}

fn machine(identity: &str, tags: &[(&str, &str)]) -> Registration {
    Registration {
        machine_identity: identity.to_owned(),
        name: format!("name of {identity}"),
        tags: tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..Registration::default()
    }
}

async fn matching(db: &Db, key: TargetKey, values: &[&str]) -> Vec<String> {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    target::matching(db, &Target { key, values })
        .await
        .unwrap()
        .into_iter()
        .collect()
}

#[tokio::test]
async fn a_machine_keeps_its_node_unless_it_asks_for_a_new_one() {
    for (db, _folder) in databases("register").await {
        let group = [machine("a", &[]), machine("b", &[]), machine("a", &[])];
        let first = register(&db, &group, 1).await.unwrap();
        assert_eq!(first[0].node_id, first[2].node_id);
        assert_ne!(first[0].node_id, first[1].node_id);
        assert_eq!((first[0].existing, first[2].existing), (false, true));
        let again = register(&db, &[machine("a", &[])], 2).await.unwrap();
        assert_eq!(
            (again[0].node_id.as_str(), again[0].existing),
            (first[0].node_id.as_str(), true)
        );
        let new = Registration {
            as_new: true,
            ..machine("a", &[])
        };
        let new = register(&db, &[new], 3).await.unwrap();
        assert_ne!(new[0].node_id, first[0].node_id);
        assert_eq!(
            register(&db, &[machine("a", &[])], 4).await.unwrap()[0].node_id,
            new[0].node_id
        );
    }
}

#[tokio::test]
async fn a_node_that_was_put_out_is_in_no_list_and_its_id_is_not_used_again() {
    for (db, _folder) in databases("deregister").await {
        let id = register(&db, &[machine("a", &[("Role", "web")])], 1)
            .await
            .unwrap()
            .remove(0)
            .node_id;
        node::deregister(&db, &id, 2).await.unwrap();
        assert!(matches!(node::deregister(&db, &id, 3).await, Err(StoreError::Missing)));
        assert!(node::page(&db, "", 10).await.unwrap().is_empty());
        assert!(node::by_ids(&db, &[&id]).await.unwrap().is_empty());
        assert!(node::was_ever(&db, &id).await.unwrap());
        assert!(
            matching(&db, TargetKey::Tag("Role".to_owned()), &["web"])
                .await
                .is_empty()
        );
        assert!(matching(&db, TargetKey::InstanceIds, &["*"]).await.is_empty());
        assert!(!tag::add(&db, &id, &[]).await.unwrap());
        assert!(
            ping::hellos(&db, &[(id.clone(), NodeFacts::default())], 4)
                .await
                .unwrap()
                .is_empty()
        );
        assert_ne!(register(&db, &[machine("a", &[])], 5).await.unwrap()[0].node_id, id);
    }
}

#[tokio::test]
async fn expressions_match_tags_exactly() {
    for (db, _folder) in databases("match").await {
        let group = [
            machine("a", &[("Role", "web"), ("Env", "prod")]),
            machine("b", &[("Role", "Web"), ("Env", "")]),
            machine("c", &[]),
        ];
        let ids: Vec<_> = register(&db, &group, 1)
            .await
            .unwrap()
            .into_iter()
            .map(|each| each.node_id)
            .collect();
        let role = || TargetKey::Tag("Role".to_owned());
        assert_eq!(matching(&db, role(), &["web"]).await, [ids[0].clone()]);
        assert_eq!(matching(&db, role(), &["web", "Web"]).await.len(), 2);
        assert!(matching(&db, role(), &[]).await.is_empty());
        assert!(matching(&db, role(), &["w*"]).await.is_empty());
        // An empty value means a tag that is there and empty, never a tag that is not there.
        assert_eq!(
            matching(&db, TargetKey::Tag("Env".to_owned()), &[""]).await,
            [ids[1].clone()]
        );
        assert_eq!(matching(&db, TargetKey::TagKey, &["Env"]).await.len(), 2);
        assert_eq!(matching(&db, TargetKey::InstanceIds, &["*"]).await.len(), 3);
        assert_eq!(
            matching(&db, TargetKey::InstanceIds, &[&ids[2], "mi-00000000000000000"]).await,
            [ids[2].clone()]
        );
    }
}

#[tokio::test]
async fn tags_are_set_overwritten_and_removed() {
    for (db, _folder) in databases("tags").await {
        let id = register(&db, &[machine("a", &[("Role", "web")])], 1)
            .await
            .unwrap()
            .remove(0)
            .node_id;
        let new = [("Role", "db"), ("Env", "prod")].map(|(key, value)| Tag {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        });
        assert!(tag::add(&db, &id, &new).await.unwrap());
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            tag::of_node(&db, &id).await.unwrap(),
            [pair("Env", "prod"), pair("Role", "db")]
        );
        let keys = ["Env".to_owned(), "Absent".to_owned()];
        assert!(tag::remove(&db, &id, &keys).await.unwrap());
        assert_eq!(tag::of_node(&db, &id).await.unwrap(), [pair("Role", "db")]);
        assert!(!tag::remove(&db, "mi-00000000000000000", &keys).await.unwrap());
    }
}

#[tokio::test]
async fn hellos_bring_facts_and_get_tags_and_pings_never_go_back() {
    for (db, _folder) in databases("hellos").await {
        let id = register(&db, &[machine("a", &[("Role", "web")])], 1)
            .await
            .unwrap()
            .remove(0)
            .node_id;
        let facts = NodeFacts {
            computer_name: "web-1".to_owned(),
            ..NodeFacts::default()
        };
        let answer = ping::hellos(
            &db,
            &[(id.clone(), facts), ("mi-x".to_owned(), NodeFacts::default())],
            10,
        )
        .await
        .unwrap();
        assert_eq!(answer.len(), 1);
        assert_eq!(answer[&id], BTreeMap::from([("Role".to_owned(), "web".to_owned())]));
        ping::pings(&db, &[(id.clone(), 20)]).await.unwrap();
        ping::pings(&db, &[(id.clone(), 15)]).await.unwrap();
        let row = node::by_ids(&db, &[&id]).await.unwrap().remove(0);
        assert_eq!(
            (row.last_ping, row.facts().unwrap().computer_name.as_str()),
            (20, "web-1")
        );
    }
}
