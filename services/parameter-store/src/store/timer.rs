//! When policies have their say: rows with a due time, so that a restart loses none.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_model::Timestamp;
use muster_proto::parameterstore::v1::ParameterTier;
use muster_store::{Column, Db, StoreError, json, read, transact};
use sqlx::FromRow;

use super::put::{COUNT, REMOVE};
use super::row::{HEADS, HeadRow};
use super::{take_turn, tell};
use crate::domain::event::{self, Change, Event, Subject};
use crate::domain::policy::{self, Policy, Rule};
use crate::domain::put::Head;
use crate::domain::scope::Scope;

pub(crate) const CLEAR: &str = "delete from parameter_timer where parameter_id in (select r.id from {rows} as r)";
pub(crate) const INSERT: &str = "
    insert into parameter_timer (parameter_id, place, due_at, done)
    select r.parameter_id, r.place, r.due_at, r.done from {rows} as r";
pub(crate) const COLUMNS: [Column; 4] = [
    Column::Text("parameter_id"),
    Column::BigInt("place"),
    Column::BigInt("due_at"),
    Column::Boolean("done"),
];
const DONE: &str = "
    update parameter_timer set done = true
    where (parameter_id, place) in (select r.parameter_id, r.place from {rows} as r)";

/// The policies of parameters whose time has come and that have not had their say, in the order of their times.
pub(super) const UNTOLD: &str = "
    select t.parameter_id, t.place from {rows} as r join parameter_timer as t on t.parameter_id = r.id
    where t.done = false and t.due_at <= $2 order by t.due_at, t.place";

/// The ids of parameters, and the places of policies in them.
pub(super) type Places = Vec<(String, i64)>;

/// [`UNTOLD`] of those parameters of some rows that have expired, inside a transaction: with them their timers go.
macro_rules! untold {
    ($db:expr, $tx:ident, $rows:expr, $now:expr) => {{
        let now: i64 = $now.as_microsecond();
        let expired = $rows
            .iter()
            .filter(|row| row.is_expired(now))
            .map(|row| (row.id.as_str(),));
        let expired: Vec<_> = expired.collect();
        let untold: $crate::store::timer::Places = match expired.is_empty() {
            true => Vec::new(),
            false => {
                let sql = $db.with_rows($crate::store::timer::UNTOLD, &[muster_store::Column::Text("id")]);
                let expired = muster_store::json(&expired);
                sqlx::query_as(sql).bind(expired).bind(now).fetch_all(&mut *$tx).await?
            }
        };
        untold
    }};
}
pub(super) use untold;

/// A row of `parameter_timer`.
pub(crate) type Row = (String, i64, i64, bool);

/// The timers of a version that was made just now.
pub(crate) fn rows(head: &Head, now: Timestamp) -> Vec<Row> {
    let due = policy::due(&head.latest.policies, now).into_iter();
    due.zip(0..)
        .map(|(due, place)| (head.id.clone(), place, due.as_microsecond(), false))
        .collect()
}

fn subject(head: &Head) -> Subject<'_> {
    Subject {
        name: &head.name,
        kind: head.latest.kind,
        data_type: head.latest.data_type.word(),
        description: head.latest.description.as_deref(),
    }
}

/// What others are told of a parameter that goes because it has expired: first what they should have been told before,
/// which is among `untold`.
pub(crate) fn farewell(head: &Head, untold: &[(String, i64)], scope: &Scope, now: Timestamp) -> Vec<Event> {
    let policies = &head.latest.policies;
    let is_expiration = |policy: &&Policy| matches!(policy.rule, Rule::Expiration(_));
    let own = untold.iter().filter(|(id, _)| *id == head.id);
    let late = own.filter_map(|(_, place)| policies.get(usize::try_from(*place).ok()?));
    let late = late.filter(|policy| !is_expiration(policy));
    let acted = late.chain(policies.iter().find(is_expiration));
    let mut events: Vec<Event> = acted
        .map(|policy| event::policy_acted(policy, subject(head), scope, now))
        .collect();
    events.push(event::changed(Change::Delete, subject(head), scope, now));
    events
}

const DUE: &str = "
    select t.parameter_id, t.place, p.path, p.last_version
    from parameter_timer as t join parameter as p on p.id = t.parameter_id
    where t.done = false and t.due_at <= $2 and (t.parameter_id, t.place, p.last_version) not in
        (select r.parameter_id, r.place, r.last_version from {rows} as r)
    order by t.due_at limit $3";
const STUCK: [Column; 3] = [
    Column::Text("parameter_id"),
    Column::BigInt("place"),
    Column::BigInt("last_version"),
];

#[derive(Debug, FromRow)]
struct DueRow {
    parameter_id: String,
    place: i64,
    path: String,
    last_version: i64,
}

/// Timers whose parameters cannot be read: nobody waits for them until somebody puts the parameter again, or this process
/// is started again.
#[derive(Debug, Default)]
pub(crate) struct Stuck(BTreeSet<(String, i64, i64)>);

impl Stuck {
    /// The parameter of [`DUE`].
    fn rows(&self) -> String {
        json(&self.0.iter().collect::<Vec<_>>())
    }

    /// Leaves these timers alone from now on; whoever reads the log is told of each parameter once.
    fn take_in(&mut self, bad: Vec<Bad>) {
        let mut told = BTreeSet::new();
        for Bad { due, error } in bad {
            if told.insert(due.path.clone()) {
                let error = &*error as &dyn std::error::Error;
                tracing::error!(
                    parameter = due.path,
                    error,
                    "policies of a parameter cannot be read and are left alone"
                );
            }
            self.0.insert((due.parameter_id, due.place, due.last_version));
        }
    }
}

/// A timer whose policy cannot be read.
#[derive(Debug)]
struct Bad {
    due: DueRow,
    error: Arc<StoreError>,
}

/// Lets policies have their say whose time has come, at most `limit` of them; says how many were looked at. Those that
/// cannot be read become `stuck`, and hold up no others.
pub(crate) async fn act(
    db: &Db,
    scope: &Scope,
    now: Timestamp,
    limit: i64,
    stuck: &mut Stuck,
) -> Result<usize, StoreError> {
    let (sql, known) = (|| db.with_rows(DUE, &STUCK), stuck.rows());
    // Nobody waits for a turn while there is nothing to do.
    let found: Vec<DueRow> = read!(db, pool => {
        sqlx::query_as(sql()).bind(&known).bind(now.as_microsecond()).bind(limit).fetch_all(pool).await
    })?;
    if found.is_empty() {
        return Ok(0);
    }
    let (count, bad) = transact!(db, tx => {
        let (turn, _, _) = take_turn!(tx);
        // What was put meanwhile has other timers.
        let due: Vec<DueRow> =
            sqlx::query_as(sql()).bind(&known).bind(now.as_microsecond()).bind(limit).fetch_all(&mut *tx).await?;
        let count = due.len();
        let paths: BTreeSet<_> = due.iter().map(|row| (row.path.as_str(),)).collect();
        let paths = json(&paths.into_iter().collect::<Vec<_>>());
        let heads = db.with_rows(HEADS, &[Column::Text("path")]);
        let rows: Vec<HeadRow> = sqlx::query_as(heads).bind(&paths).fetch_all(&mut *tx).await?;
        // More than what is due in this round, which takes so many only.
        let untold = untold!(db, tx, rows, now);
        let acted = decide(due, rows, &untold, scope, now);
        if !acted.removed.is_empty() {
            let rows = json(&acted.removed);
            sqlx::query(db.with_rows(REMOVE, &[Column::Text("id")])).bind(&rows).execute(&mut *tx).await?;
            sqlx::query(COUNT).bind(-acted.standard).bind(-acted.advanced).execute(&mut *tx).await?;
        }
        if !acted.done.is_empty() {
            let sql = db.with_rows(DONE, &[Column::Text("parameter_id"), Column::BigInt("place")]);
            sqlx::query(sql).bind(json(&acted.done)).execute(&mut *tx).await?;
        }
        tell!(db, tx, turn, acted.events);
        Ok((count, acted.bad))
    })?;
    stuck.take_in(bad);
    Ok(count)
}

/// What a round of timers does.
#[derive(Debug, Default)]
struct Acted {
    removed: Vec<(String,)>,
    standard: i64,
    advanced: i64,
    done: Vec<(String, i64)>,
    events: Vec<Event>,
    bad: Vec<Bad>,
}

fn decide(mut due: Vec<DueRow>, rows: Vec<HeadRow>, untold: &[(String, i64)], scope: &Scope, now: Timestamp) -> Acted {
    let mut acted = Acted::default();
    for row in rows {
        let is_expired = row.is_expired(now.as_microsecond());
        let id = row.id.clone();
        let own = due.extract_if(.., |due| due.parameter_id == id);
        let own: Vec<DueRow> = own.collect();
        let head = match row.head() {
            Ok(head) => head,
            Err(error) => {
                let error = Arc::new(error);
                let bad = |due| Bad {
                    due,
                    error: Arc::clone(&error),
                };
                acted.bad.extend(own.into_iter().map(bad));
                continue;
            }
        };
        for due in own {
            let policy = usize::try_from(due.place)
                .ok()
                .and_then(|place| head.latest.policies.get(place));
            let Some(policy) = policy else {
                let error = Arc::new(StoreError::corrupt("a timer of a policy that is not there"));
                acted.bad.push(Bad { due, error });
                continue;
            };
            acted.done.push((head.id.clone(), due.place));
            if !is_expired && !matches!(policy.rule, Rule::Expiration(_)) {
                acted
                    .events
                    .push(event::policy_acted(policy, subject(&head), scope, now));
            }
        }
        if is_expired {
            acted.events.extend(farewell(&head, untold, scope, now));
            match head.latest.tier {
                ParameterTier::Advanced => acted.advanced += 1,
                _ => acted.standard += 1,
            }
            acted.removed.push((head.id,));
        }
    }
    // Nothing is known of whose they are.
    acted.bad.extend(due.into_iter().map(|due| {
        let error = Arc::new(StoreError::corrupt("a timer of a parameter that has no latest version"));
        Bad { due, error }
    }));
    acted
}

/// The places of policies that had their say, of parameters by their ids.
pub(crate) async fn done(db: &Db, ids: &[&str]) -> Result<Vec<(String, i64)>, StoreError> {
    let sql = db.with_rows(
        "select t.parameter_id, t.place from {rows} as r join parameter_timer as t on t.parameter_id = r.id
         where t.done = true",
        &[Column::Text("id")],
    );
    let rows = json(&ids.iter().map(|id| (id,)).collect::<Vec<_>>());
    Ok(read!(db, pool => sqlx::query_as(sql).bind(&rows).fetch_all(pool).await)?)
}
