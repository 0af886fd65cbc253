//! Registrations, many at a time. A machine that is known gets the node that it has.

use std::collections::{BTreeMap, HashMap};

use muster_model::NodeId;
use muster_proto::agent::v1::NodeFacts;
use muster_store::{Column, Db, StoreError, json, transact};

use crate::store::node::encode;

/// A machine that wants to be a node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registration {
    pub(crate) machine_identity: String,
    pub(crate) as_new: bool,
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) facts: NodeFacts,
}

/// The node that a machine is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) node_id: String,
    pub(crate) existing: bool,
}

const KNOWN: &str = "
    select n.machine_identity, n.node_id from {rows} as r join node as n on n.machine_identity = r.machine_identity
    where n.deregistered_at is null";
const FORGET: &str = "
    update node set machine_identity = '' where deregistered_at is null and machine_identity in (
        select r.machine_identity from {rows} as r)";
const IDENTITY: [Column; 1] = [Column::Text("machine_identity")];
const INSERT: &str = "
    insert into node (node_id, machine_identity, name, registered_at, last_ping, facts)
    select r.node_id, r.machine_identity, r.name, r.registered_at, r.registered_at, r.facts from {rows} as r";
const COLUMNS: [Column; 5] = [
    Column::Text("node_id"),
    Column::Text("machine_identity"),
    Column::Text("name"),
    Column::BigInt("registered_at"),
    Column::Text("facts"),
];
const INSERT_TAGS: &str = "
    insert into node_tag (node_id, key, value) select r.node_id, r.key, r.value from {rows} as r";
const TAG_COLUMNS: [Column; 3] = [Column::Text("node_id"), Column::Text("key"), Column::Text("value")];

/// Registers machines in one transaction; the answers are in the order of the questions.
///
/// # Errors
/// If the database does not take it; then no machine is registered.
pub(crate) async fn register(db: &Db, machines: &[Registration], now: i64) -> Result<Vec<Registered>, StoreError> {
    let identities: Vec<_> = machines.iter().map(|each| (&each.machine_identity,)).collect();
    let identities = json(&identities);
    transact!(db, tx => {
        let known: Vec<(String, String)> =
            sqlx::query_as(db.with_rows(KNOWN, &IDENTITY)).bind(&identities).fetch_all(&mut *tx).await?;
        let plan = Plan::of(machines, known, now);
        sqlx::query(db.with_rows(FORGET, &IDENTITY)).bind(&plan.replaced).execute(&mut *tx).await?;
        sqlx::query(db.with_rows(INSERT, &COLUMNS)).bind(&plan.nodes).execute(&mut *tx).await?;
        sqlx::query(db.with_rows(INSERT_TAGS, &TAG_COLUMNS)).bind(&plan.tags).execute(&mut *tx).await?;
        Ok(plan.answers)
    })
}

/// What a group of registrations comes to.
struct Plan {
    answers: Vec<Registered>,
    replaced: String,
    nodes: String,
    tags: String,
}

impl Plan {
    fn of(machines: &[Registration], known: Vec<(String, String)>, now: i64) -> Self {
        let mut nodes_of: HashMap<String, String> = known.into_iter().collect();
        let (mut answers, mut replaced, mut nodes, mut tags) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        // Of several new nodes for one machine in one group, the last keeps the identity.
        for machine in machines {
            let identity = machine.machine_identity.as_str();
            if let Some(node_id) = nodes_of.get(identity)
                && !machine.as_new
                && !identity.is_empty()
            {
                answers.push(Registered {
                    node_id: node_id.clone(),
                    existing: true,
                });
                continue;
            }
            let node_id = NodeId::random().to_string();
            if nodes_of.insert(identity.to_owned(), node_id.clone()).is_some() {
                replaced.push((identity,));
                nodes.retain(|(_, taken, ..): &(String, &str, _, _, _)| *taken != identity);
            }
            nodes.push((node_id.clone(), identity, &machine.name, now, encode(&machine.facts)));
            tags.extend(machine.tags.iter().map(|(key, value)| (node_id.clone(), key, value)));
            answers.push(Registered {
                node_id,
                existing: false,
            });
        }
        Self {
            answers,
            replaced: json(&replaced),
            nodes: json(&nodes),
            tags: json(&tags),
        }
    }
}
