//! Hellos, many at a time: facts in, tags out.

use std::collections::{BTreeMap, HashMap, HashSet};

use muster_store::{Column, Db, StoreError, json, transact};

use crate::domain::facts::Facts;
use crate::store::presence::{self, COME_BACK, PING};

/// Only rows that really change: a fleet that reconnects tells mostly what is known.
pub(super) const UPDATE_FACTS: &str = "
    update node set agent_version = r.agent_version, agent_version_order = r.agent_version_order,
        platform_type = r.platform_type, platform_name = r.platform_name, platform_version = r.platform_version,
        computer_name = r.computer_name, ip_address = r.ip_address, architecture = r.architecture,
        boot_id = r.boot_id, availability_zone = r.availability_zone, capabilities = r.capabilities
    from {rows} as r
    where node.node_id = r.node_id and node.deregistered_at is null
        and (node.agent_version, node.platform_type, node.platform_name, node.platform_version, node.computer_name,
             node.ip_address, node.architecture, node.boot_id, node.availability_zone, node.capabilities)
        <> (r.agent_version, r.platform_type, r.platform_name, r.platform_version, r.computer_name,
             r.ip_address, r.architecture, r.boot_id, r.availability_zone, r.capabilities)";
pub(super) const FACTS_COLUMNS: [Column; 12] = [
    Column::Text("node_id"),
    Column::Text("agent_version"),
    Column::Text("agent_version_order"),
    Column::Text("platform_type"),
    Column::Text("platform_name"),
    Column::Text("platform_version"),
    Column::Text("computer_name"),
    Column::Text("ip_address"),
    Column::Text("architecture"),
    Column::Text("boot_id"),
    Column::Text("availability_zone"),
    Column::Text("capabilities"),
];

const STANDING: &str = "
    select n.node_id, n.deregistered_at is not null
    from {rows} as r join node as n on n.node_id = r.node_id";
const TAGS: &str = "
    select t.node_id, t.key, t.value from {rows} as r join node_tag as t on t.node_id = r.node_id";
const NODE_COLUMN: [Column; 1] = [Column::Text("node_id")];

/// What fleet knows of a node that says hello. Who is not known at all has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is managed and has these tags.
    Managed(BTreeMap<String, String>),
    /// It was put out.
    Deregistered,
}

/// What a group of hellos came to.
#[derive(Debug)]
pub(crate) struct Greeted {
    pub(crate) standing: HashMap<String, Standing>,
    /// Nodes that were away before.
    pub(crate) back: Vec<String>,
}

/// Writes what nodes told of themselves, and that they were heard of now. What machines of `doubted` nodes tell is not
/// kept: they are others than those that the nodes were.
pub(crate) async fn greet(
    db: &Db,
    hellos: &HashMap<String, Facts>,
    doubted: &HashSet<String>,
    now: i64,
) -> Result<Greeted, StoreError> {
    let mut facts: Vec<_> = hellos
        .iter()
        .filter(|(node_id, _)| !doubted.contains(*node_id))
        .map(|(node_id, facts)| facts_row(node_id, facts))
        .collect();
    // Nor is it a sign of their life.
    let alive = hellos.keys().filter(|node_id| !doubted.contains(*node_id));
    let mut pings: Vec<_> = alive.map(|node_id| (node_id, now)).collect();
    // In an order, so that two that write seldom wait for each other.
    facts.sort_unstable();
    pings.sort_unstable();
    let ids: Vec<_> = hellos.keys().map(|node_id| (node_id,)).collect();
    let (facts, pings, ids) = (json(&facts), json(&pings), json(&ids));
    let (standing, tags, back) = transact!(db, tx => {
        let sql = db.with_rows(UPDATE_FACTS, &FACTS_COLUMNS);
        sqlx::query(sql).bind(&facts).execute(&mut *tx).await?;
        let sql = db.with_rows(COME_BACK, &presence::COLUMNS);
        let back: Vec<String> = sqlx::query_scalar(sql).bind(&pings).fetch_all(&mut *tx).await?;
        let sql = db.with_rows(PING, &presence::COLUMNS);
        sqlx::query(sql).bind(&pings).execute(&mut *tx).await?;
        let sql = db.with_rows(STANDING, &NODE_COLUMN);
        let standing: Vec<(String, bool)> = sqlx::query_as(sql).bind(&ids).fetch_all(&mut *tx).await?;
        let sql = db.with_rows(TAGS, &NODE_COLUMN);
        let tags: Vec<(String, String, String)> = sqlx::query_as(sql).bind(&ids).fetch_all(&mut *tx).await?;
        Ok((standing, tags, back))
    })?;
    let mut standing: HashMap<_, _> = standing
        .into_iter()
        .map(|(node_id, is_gone)| match is_gone {
            true => (node_id, Standing::Deregistered),
            false => (node_id, Standing::Managed(BTreeMap::new())),
        })
        .collect();
    for (node_id, key, value) in tags {
        if let Some(Standing::Managed(tags)) = standing.get_mut(&node_id) {
            tags.insert(key, value);
        }
    }
    Ok(Greeted { standing, back })
}

/// A row of [`FACTS_COLUMNS`].
pub(super) fn facts_row<'a>(node_id: &'a str, facts: &'a Facts) -> [&'a str; 12] {
    [
        node_id,
        &facts.agent_version,
        &facts.agent_version_order,
        &facts.platform_type,
        &facts.platform_name,
        &facts.platform_version,
        &facts.computer_name,
        &facts.ip_address,
        &facts.architecture,
        &facts.boot_id,
        &facts.availability_zone,
        &facts.capabilities,
    ]
}
