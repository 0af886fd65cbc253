//! The queries on SQLite, and on PostgreSQL where `MUSTER_TEST_POSTGRES` names a server.

mod agreement;
mod claims;
mod hellos;
mod registration;
mod tags;
mod targets;

use std::collections::BTreeMap;

use muster_harness::{Folder, Postgres};
use muster_proto::agent::v1::NodeFacts;
use muster_store::Db;

use crate::store::list::{self, Question};
use crate::store::node::NodeRow;
use crate::store::register::{Registration, register};

/// A database, empty, for as long as this is kept.
struct Fresh {
    db: Db,
    _folder: Folder,
    _postgres: Option<Postgres>,
}

/// One of each kind that this machine can offer.
async fn databases() -> Vec<Fresh> {
    let folder = Folder::new("fleet-store");
    let url = format!("sqlite:{}", folder.join("fleet.db").display());
    let mut all = vec![open(&url, folder, None).await];
    if let Some(postgres) = Postgres::start().await {
        all.push(open(&postgres.url(), Folder::new("none"), Some(postgres)).await);
    }
    all
}

async fn open(url: &str, folder: Folder, postgres: Option<Postgres>) -> Fresh {
    Fresh {
        db: Db::open(url, "fleet", &crate::MIGRATIONS).await.unwrap(),
        _folder: folder,
        _postgres: postgres,
    }
}

fn tags_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn machine(identity: &str, tags: &[(&str, &str)]) -> Registration {
    Registration {
        machine_identity: identity.to_owned(),
        name: format!("name of {identity}"),
        tags: tags_of(tags),
        facts: NodeFacts {
            computer_name: format!("host of {identity}"),
            platform_type: "Linux".to_owned(),
            agent_version: "0.1.0".to_owned(),
            ..NodeFacts::default()
        }
        .into(),
        ..Registration::default()
    }
}

/// Registers one machine and gives its node.
async fn node(db: &Db, machine: Registration) -> String {
    register(db, &[machine], 1).await.unwrap().remove(0).node_id
}

/// All managed nodes.
async fn everybody(db: &Db) -> Vec<NodeRow> {
    let question = Question {
        conditions: Vec::new(),
        cutoff: 0,
        after: String::new(),
        limit: 1_000,
    };
    list::page(db, &question).await.unwrap()
}
