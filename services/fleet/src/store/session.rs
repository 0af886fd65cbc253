//! The sessions of nodes, many nodes at a time.

use std::collections::HashMap;

use muster_store::{Column, Db, StoreError, json, read, transact};

use crate::domain::session::{Heard, Sessions};

const NODE: [Column; 1] = [Column::Text("node_id")];
const SESSIONS: &str = "
    select n.node_id, coalesce(s.holder, ''), coalesce(s.rival, ''), coalesce(s.rival_at, 0),
        coalesce(s.quarantined, '')
    from {rows} as r join node as n on n.node_id = r.node_id left join node_session as s on s.node_id = n.node_id
    where n.deregistered_at is null
    order by n.node_id";
// In the order of the ids, so that two replicas never wait for each other. SQLite has one writer at a time.
const SESSIONS_LOCKED: &str = "
    select n.node_id, coalesce(s.holder, ''), coalesce(s.rival, ''), coalesce(s.rival_at, 0),
        coalesce(s.quarantined, '')
    from {rows} as r join node as n on n.node_id = r.node_id left join node_session as s on s.node_id = n.node_id
    where n.deregistered_at is null
    order by n.node_id for update of n";
const KEEP: &str = "
    insert into node_session (node_id, holder, rival, rival_at, quarantined)
    select r.node_id, r.holder, r.rival, r.rival_at, r.quarantined from {rows} as r where true
    on conflict (node_id) do update set holder = excluded.holder, rival = excluded.rival,
        rival_at = excluded.rival_at, quarantined = excluded.quarantined";
const COLUMNS: [Column; 5] = [
    Column::Text("node_id"),
    Column::Text("holder"),
    Column::Text("rival"),
    Column::BigInt("rival_at"),
    Column::Text("quarantined"),
];
const CONCERN: &str = "
    update node set concern = 'Clone' from {rows} as r where node.node_id = r.node_id and node.concern = ''";

/// The key of a managed node is used in two places at once: an operator is asked about it. Says whether nobody was asked
/// before.
pub(crate) async fn share(db: &Db, node_id: &str, public_key: &str) -> Result<bool, StoreError> {
    let sql = "
        update node set concern = 'Clone'
        where node_id = $1 and concern = '' and deregistered_at is null and exists (
            select 1 from node_key as k where k.node_id = $1 and k.public_key = $2 and k.retired_at is null)";
    transact!(db, tx => {
        let asked = sqlx::query(sql).bind(node_id).bind(public_key).execute(&mut *tx).await?;
        Ok(asked.rows_affected() > 0)
    })
}

type Row = (String, String, String, i64, String);

fn sessions(rows: Vec<Row>) -> HashMap<String, Sessions> {
    let rows = rows.into_iter().map(|(node_id, holder, rival, rival_at, quarantined)| {
        let sessions = Sessions {
            holder,
            rival,
            rival_at,
            quarantined,
        };
        (node_id, sessions)
    });
    rows.collect()
}

/// Notes which sessions speak as which managed nodes, and says what that means for each.
pub(crate) async fn hear(
    db: &Db,
    spoken: &HashMap<String, String>,
    now: i64,
) -> Result<HashMap<String, Heard>, StoreError> {
    let judge = |mut known: HashMap<String, Sessions>| {
        let (mut heard, mut changed) = (HashMap::new(), HashMap::new());
        for (node_id, session) in spoken {
            let Some(sessions) = known.get_mut(node_id) else {
                continue;
            };
            let before = sessions.clone();
            heard.insert(node_id.clone(), sessions.hear(session, now));
            if *sessions != before {
                changed.insert(node_id.clone(), sessions.clone());
            }
        }
        (heard, changed)
    };
    let ids = |nodes: &mut dyn Iterator<Item = &String>| {
        let mut rows: Vec<_> = nodes.map(|node_id| (node_id,)).collect();
        rows.sort_unstable();
        json(&rows)
    };
    // A fleet that reconnects says what is known: nothing is locked or written then.
    let rows = ids(&mut spoken.keys());
    let known: Vec<Row> = read!(db, pool => {
        sqlx::query_as(db.with_rows(SESSIONS, &NODE)).bind(&rows).fetch_all(pool).await
    })?;
    let (mut heard, changed) = judge(sessions(known));
    if changed.is_empty() {
        return Ok(heard);
    }
    let rows = ids(&mut changed.keys());
    let again = transact!(db, tx => {
        let sql = match db {
            Db::Sqlite(_) => SESSIONS,
            Db::Postgres(_) => SESSIONS_LOCKED,
        };
        let known: Vec<Row> = sqlx::query_as(db.with_rows(sql, &NODE)).bind(&rows).fetch_all(&mut *tx).await?;
        let (heard, changed) = judge(sessions(known));
        let kept: Vec<_> = changed
            .iter()
            .map(|(node_id, kept)| (node_id, &kept.holder, &kept.rival, kept.rival_at, &kept.quarantined))
            .collect();
        let clones: Vec<_> = heard.iter().filter(|(_, heard)| **heard == Heard::Clone).map(|(id, _)| (id,)).collect();
        for (sql, columns, rows) in [
            (KEEP, COLUMNS.as_slice(), json(&kept)),
            (CONCERN, NODE.as_slice(), json(&clones)),
        ] {
            sqlx::query(db.with_rows(sql, columns)).bind(rows).execute(&mut *tx).await?;
        }
        Ok(heard)
    })?;
    heard.extend(again);
    Ok(heard)
}
