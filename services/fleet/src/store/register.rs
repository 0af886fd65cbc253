//! Registrations, many at a time. A machine that is known gets the node that it has.

use std::collections::{BTreeMap, HashMap};

use muster_model::NodeId;
use muster_store::{Column, Db, StoreError, json, transact};

use crate::domain::facts::Facts;
use crate::store::hello::{FACTS_COLUMNS, UPDATE_FACTS, facts_row};

/// A machine that wants to be a node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registration {
    pub(crate) machine_identity: String,
    /// Ask for a new node even if the machine is known; from then on the machine is the new one.
    pub(crate) as_new: bool,
    /// Name and tags count for a new node only: later they are the operator's.
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) facts: Facts,
    /// The key for which whoever registers it signs claims itself.
    pub(crate) public_key: Option<String>,
}

/// The node that a machine is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) node_id: String,
    pub(crate) existing: bool,
}

pub(super) const TAKE: &str = "
    insert into machine (machine_identity, node_id)
    select r.machine_identity, r.node_id from {rows} as r where true order by r.machine_identity
    on conflict (machine_identity) do update set node_id = excluded.node_id";
// The row is written even when it stays as it is, so that two replicas cannot both find a machine unknown.
const TAKE_OR_FIND: &str = "
    insert into machine (machine_identity, node_id)
    select r.machine_identity, r.node_id from {rows} as r where true order by r.machine_identity
    on conflict (machine_identity) do update set node_id = machine.node_id
    returning machine_identity, node_id";
pub(super) const MACHINE_COLUMNS: [Column; 2] = [Column::Text("machine_identity"), Column::Text("node_id")];

pub(super) const INSERT_NODES: &str = "
    insert into node (node_id, name, registered_at, activation_id, iam_role, agent_version, agent_version_order,
        platform_type, platform_name, platform_version, computer_name, ip_address, architecture, boot_id,
        availability_zone, capabilities, revision)
    select r.node_id, r.name, r.registered_at, '', '', '', '', '', '', '', '', '', '', '', '', '', 0
    from {rows} as r";
pub(super) const NODE_COLUMNS: [Column; 3] = [
    Column::Text("node_id"),
    Column::Text("name"),
    Column::BigInt("registered_at"),
];
pub(super) const INSERT_PRESENCE: &str = "
    insert into presence (node_id, last_ping, is_connected) select r.node_id, 0, false from {rows} as r";
pub(super) const INSERT_TAGS: &str = "
    insert into node_tag (node_id, key, value) select r.node_id, r.key, r.value from {rows} as r";
pub(super) const KEY_COLUMNS: [Column; 3] = [
    Column::Text("node_id"),
    Column::Text("public_key"),
    Column::BigInt("at"),
];
pub(super) const TAG_COLUMNS: [Column; 3] = [Column::Text("node_id"), Column::Text("key"), Column::Text("value")];

// A key belongs to one node for ever, and one that was put out stays out.
const KEEP_KEYS: &str = "
    insert into node_key (public_key, node_id, created_at)
    select r.public_key, r.node_id, r.at from {rows} as r where true
    on conflict (public_key) do nothing";

/// Registers machines in one transaction; the answers are in the order of the questions.
/// No machine may stand in the group twice.
///
/// Should a random id have been given out before, the key of `node` refuses the whole group; its callers ask again.
///
/// # Errors
/// If the database does not take it; then no machine is registered.
pub(crate) async fn register(db: &Db, machines: &[Registration], now: i64) -> Result<Vec<Registered>, StoreError> {
    let proposed: Vec<String> = machines.iter().map(|_| NodeId::random().to_string()).collect();
    let (taking, finding): (Vec<_>, Vec<_>) = machines.iter().zip(&proposed).partition(|(machine, _)| machine.as_new);
    let (taking, finding) = (machine_rows(&taking), machine_rows(&finding));
    transact!(db, tx => {
        let sql = db.with_rows(TAKE, &MACHINE_COLUMNS);
        sqlx::query(sql).bind(&taking).execute(&mut *tx).await?;
        let sql = db.with_rows(TAKE_OR_FIND, &MACHINE_COLUMNS);
        let found: Vec<(String, String)> = sqlx::query_as(sql).bind(&finding).fetch_all(&mut *tx).await?;
        let plan = Plan::of(machines, &proposed, &found, now);
        for (sql, columns, rows) in [
            (INSERT_NODES, NODE_COLUMNS.as_slice(), &plan.nodes),
            (INSERT_PRESENCE, NODE_COLUMNS.as_slice(), &plan.nodes),
            (UPDATE_FACTS, FACTS_COLUMNS.as_slice(), &plan.facts),
            (INSERT_TAGS, TAG_COLUMNS.as_slice(), &plan.tags),
            (KEEP_KEYS, KEY_COLUMNS.as_slice(), &plan.keys),
        ] {
            sqlx::query(db.with_rows(sql, columns)).bind(rows).execute(&mut *tx).await?;
        }
        Ok(plan.answers)
    })
}

fn machine_rows(machines: &[(&Registration, &String)]) -> String {
    let rows: Vec<_> = machines
        .iter()
        .map(|(machine, node_id)| (&machine.machine_identity, node_id))
        .collect();
    json(&rows)
}

/// What a group of registrations comes to.
struct Plan {
    answers: Vec<Registered>,
    nodes: String,
    facts: String,
    tags: String,
    keys: String,
}

impl Plan {
    fn of(machines: &[Registration], proposed: &[String], found: &[(String, String)], now: i64) -> Self {
        let found: HashMap<&str, &String> = found.iter().map(|(machine, node)| (machine.as_str(), node)).collect();
        let mut answers = Vec::with_capacity(machines.len());
        let (mut nodes, mut facts, mut tags, mut keys) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (machine, proposed) in machines.iter().zip(proposed) {
            // Who asked for a new node was not looked for.
            let node_id = found
                .get(machine.machine_identity.as_str())
                .copied()
                .unwrap_or(proposed);
            let existing = node_id != proposed;
            if !existing {
                nodes.push((node_id, &machine.name, now));
                tags.extend(machine.tags.iter().map(|(key, value)| (node_id, key, value)));
            }
            facts.push(facts_row(node_id, &machine.facts));
            keys.extend(machine.public_key.iter().map(|key| (node_id, key, now)));
            answers.push(Registered {
                node_id: node_id.clone(),
                existing,
            });
        }
        Self {
            answers,
            nodes: json(&nodes),
            facts: json(&facts),
            tags: json(&tags),
            keys: json(&keys),
        }
    }
}
