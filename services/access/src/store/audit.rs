//! The audit log. Whoever adds to it moves its end by compare-and-set: one writer at a time, on any number of replicas.

use muster_store::{Column, Db, StoreError, json, read, transact};
use sqlx::{AssertSqlSafe, FromRow};

use super::{Outcome, count};
use crate::domain::audit::{Ends, Entry, Fault, Hash, Link, Record, Verifier, chain};
use crate::error::AccessError;
use crate::key_file::KeyRing;

/// Records that are looked at together.
const PAGE: i64 = 2_000;
/// Tries to be the next writer; each failed one means that another one wrote.
const TRIES: usize = 200;

const ENDS: &str = "
    select sequence, hash, anchor_sequence, anchor_hash, key_id, seal from audit_head where id = 1";
const INSERT_ENDS: &str = "
    insert into audit_head (id, sequence, hash, anchor_sequence, anchor_hash, key_id, seal)
    values (1, $1, $2, $3, $4, $5, $6) on conflict (id) do nothing";
const MOVE_ENDS: &str = "
    update audit_head set sequence = $1, hash = $2, anchor_sequence = $3, anchor_hash = $4, key_id = $5, seal = $6
    where id = 1 and seal = $7";
const INSERT: &str = "
    insert into audit_record (sequence, recorded_at, principal, access_key_id, surface, source_ip, action, resource,
        decision, statements, request_id, hash, details)
    select r.sequence, r.recorded_at, r.principal, r.access_key_id, r.surface, r.source_ip, r.action, r.resource,
        r.decision, r.statements, r.request_id, r.hash, r.details from {rows} as r";
const COLUMNS: [Column; 13] = [
    Column::BigInt("sequence"),
    Column::BigInt("recorded_at"),
    Column::Text("principal"),
    Column::Text("access_key_id"),
    Column::Text("surface"),
    Column::Text("source_ip"),
    Column::Text("action"),
    Column::Text("resource"),
    Column::Text("decision"),
    Column::Text("statements"),
    Column::Text("request_id"),
    Column::Text("hash"),
    Column::Text("details"),
];
const SELECT: &str = "
    select sequence, recorded_at, principal, access_key_id, surface, source_ip, action, resource, decision, statements,
        request_id, hash, details from audit_record";
const HASH: &str = "select hash from audit_record where sequence = $1";

#[derive(Debug, Clone, FromRow)]
struct EndsRow {
    sequence: i64,
    hash: String,
    anchor_sequence: i64,
    anchor_hash: String,
    key_id: String,
    seal: String,
}

impl EndsRow {
    /// `None` if what stands there is nothing that this program wrote.
    fn ends(&self) -> Option<Ends> {
        Some(Ends {
            anchor: Link {
                sequence: self.anchor_sequence,
                hash: Hash::parse(&self.anchor_hash)?,
            },
            last: Link {
                sequence: self.sequence,
                hash: Hash::parse(&self.hash)?,
            },
        })
    }

    /// The ends, if they are sealed with a key of the key file.
    fn sealed(&self, keys: &KeyRing) -> Result<Ends, Fault> {
        let broken = Fault::Seal {
            sequence: self.sequence,
        };
        let ends = self.ends().ok_or(broken)?;
        let key = keys.key(&self.key_id).ok_or(broken)?;
        match ends.is_sealed(key, &self.seal) {
            true => Ok(ends),
            false => Err(broken),
        }
    }
}

#[derive(Debug, FromRow)]
struct RecordRow {
    sequence: i64,
    recorded_at: i64,
    principal: String,
    access_key_id: String,
    surface: String,
    source_ip: String,
    action: String,
    resource: String,
    decision: String,
    statements: String,
    request_id: String,
    hash: String,
    details: String,
}

impl From<RecordRow> for Record {
    /// What cannot be read becomes something that its hash does not fit.
    fn from(row: RecordRow) -> Self {
        let (statements, details) = (texts(&row.statements), texts(&row.details));
        let hash = Hash::parse(&row.hash).filter(|_| statements.is_some() && details.is_some());
        Self {
            sequence: row.sequence,
            hash: hash.unwrap_or(Hash::NONE),
            entry: Entry {
                time: row.recorded_at,
                principal: row.principal,
                access_key_id: row.access_key_id,
                surface: row.surface,
                source_ip: row.source_ip,
                action: row.action,
                resource: row.resource,
                decision: row.decision,
                statements: statements.unwrap_or_default(),
                request_id: row.request_id,
                details: details.unwrap_or_default(),
            },
        }
    }
}

/// A list of texts. One spelling only: another one was not written here.
fn texts(written: &str) -> Option<Vec<String>> {
    let list: Vec<String> = serde_json::from_str(written).ok()?;
    (as_text(&list) == written).then_some(list)
}

fn as_text(list: &[String]) -> String {
    serde_json::to_string(list).expect("texts have a JSON form")
}

/// Writes the ends of an empty log, once.
pub(crate) async fn prepare(db: &Db, keys: &KeyRing) -> Result<(), StoreError> {
    let (ends, key) = (Ends::START, keys.current());
    transact!(db, tx => {
        sqlx::query(INSERT_ENDS)
            .bind(ends.last.sequence)
            .bind(ends.last.hash.to_string())
            .bind(ends.anchor.sequence)
            .bind(ends.anchor.hash.to_string())
            .bind(&key.id)
            .bind(ends.seal(key))
            .execute(&mut *tx)
            .await?;
        Ok(())
    })
}

async fn ends_row(db: &Db) -> Result<EndsRow, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(ENDS).fetch_one(pool).await)?)
}

/// The ends, as the tables say.
pub(crate) async fn ends(db: &Db) -> Result<Option<Ends>, StoreError> {
    Ok(ends_row(db).await?.ends())
}

/// Moves the ends inside a transaction; `true` if nobody else did meanwhile.
macro_rules! move_ends {
    ($tx:ident, $ends:expr, $keys:expr, $before:expr) => {
        sqlx::query(MOVE_ENDS)
            .bind($ends.last.sequence)
            .bind($ends.last.hash.to_string())
            .bind($ends.anchor.sequence)
            .bind($ends.anchor.hash.to_string())
            .bind(&$keys.current().id)
            .bind($ends.seal($keys.current()))
            .bind(&$before.seal)
            .execute(&mut *$tx)
            .await?
            .rows_affected()
            == 1
    };
}

/// Adds records, all or none; gives the number of the last one.
///
/// A log whose ends are not sealed is not continued: a new seal would hide that somebody replaced it.
pub(crate) async fn append(db: &Db, keys: &KeyRing, entries: Vec<Entry>) -> Result<i64, StoreError> {
    for _ in 0..TRIES {
        let before = ends_row(db).await?;
        let ends = before.sealed(keys).map_err(StoreError::corrupt)?;
        let (records, last) = chain(ends.last, entries.clone());
        let ends = Ends { last, ..ends };
        let rows: Vec<_> = records
            .iter()
            .map(|record| {
                let entry = &record.entry;
                (
                    record.sequence,
                    entry.time,
                    &entry.principal,
                    &entry.access_key_id,
                    &entry.surface,
                    &entry.source_ip,
                    &entry.action,
                    &entry.resource,
                    &entry.decision,
                    as_text(&entry.statements),
                    &entry.request_id,
                    record.hash.to_string(),
                    as_text(&entry.details),
                )
            })
            .collect();
        let rows = json(&rows);
        let written = transact!(db, tx => {
            if !move_ends!(tx, ends, keys, before) {
                return Ok(false);
            }
            sqlx::query(db.with_rows(INSERT, &COLUMNS)).bind(&rows).execute(&mut *tx).await?;
            Ok(true)
        })?;
        if written {
            return Ok(last.sequence);
        }
    }
    Err(StoreError::Conflict {
        constraint: "the end of the audit log".to_owned(),
    })
}

/// Removes the records up to this one, whose hash becomes the anchor; gives how many.
pub(crate) async fn truncate(db: &Db, keys: &KeyRing, until: Link) -> Outcome<i64> {
    let sequence = until.sequence;
    for _ in 0..TRIES {
        let before = ends_row(db).await?;
        let ends = before.sealed(keys).map_err(StoreError::corrupt)?;
        let ends = Ends { anchor: until, ..ends };
        let removed = transact!(db, tx => {
            let hash: Option<String> = sqlx::query_scalar(HASH).bind(sequence).fetch_optional(&mut *tx).await?;
            match hash {
                None => return Ok(Some(Err(AccessError::MissingRecord { sequence }))),
                Some(hash) if hash != until.hash.to_string() => {
                    return Ok(Some(Err(AccessError::OtherHash { sequence })));
                }
                Some(_) => {}
            }
            if !move_ends!(tx, ends, keys, before) {
                return Ok(None);
            }
            let count = count!(tx, "select count(*) from audit_record where sequence <= $1", sequence);
            sqlx::query("delete from audit_record where sequence <= $1").bind(sequence).execute(&mut *tx).await?;
            Ok(Some(Ok(count)))
        })?;
        if let Some(outcome) = removed {
            return Ok(outcome);
        }
    }
    Err(StoreError::Conflict {
        constraint: "the end of the audit log".to_owned(),
    })
}

/// The last of the oldest records that are older than a time, in microseconds since 1970; it looks at `limit` of them.
pub(crate) async fn last_before(db: &Db, time: i64, limit: i64) -> Result<Option<Link>, StoreError> {
    let sql = "select sequence, hash, recorded_at from audit_record order by sequence limit $1";
    let rows: Vec<(i64, String, i64)> = read!(db, pool => sqlx::query_as(sql).bind(limit).fetch_all(pool).await)?;
    // Times are of several clocks: what stands behind one that is to stay, stays, too.
    let old = rows.into_iter().take_while(|(.., recorded_at)| *recorded_at < time);
    let Some((sequence, hash, _)) = old.last() else {
        return Ok(None);
    };
    let hash = Hash::parse(&hash).ok_or_else(|| StoreError::corrupt("a record of the audit log has no hash"))?;
    Ok(Some(Link { sequence, hash }))
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) fault: Option<Fault>,
    /// How many records were looked at.
    pub(crate) records: i64,
    /// As far as it was looked at.
    pub(crate) last: Link,
    pub(crate) anchor: Link,
}

/// Goes through the whole log.
pub(crate) async fn verify(db: &Db, keys: &KeyRing, known: Option<Link>) -> Result<Verdict, StoreError> {
    loop {
        let before = ends_row(db).await?;
        let verdict = verify_once(db, keys, &before, known).await?;
        // What was exported and removed meanwhile is not missing.
        let after = ends_row(db).await?;
        if verdict.fault.is_none() || after.anchor_sequence == before.anchor_sequence {
            return Ok(verdict);
        }
    }
}

async fn verify_once(db: &Db, keys: &KeyRing, row: &EndsRow, known: Option<Link>) -> Result<Verdict, StoreError> {
    let sealed = row.sealed(keys);
    let stated = row.ends().unwrap_or(Ends::START);
    let mut verifier = Verifier::new(stated.anchor, known);
    let mut fault = None;
    // From the very first, so that what was put in before the anchor shows.
    let mut after = i64::MIN;
    'pages: loop {
        let sql = AssertSqlSafe(format!(
            "{SELECT} where sequence > $1 and sequence <= $2 order by sequence limit $3"
        ));
        let rows: Vec<RecordRow> = read!(db, pool => {
            sqlx::query_as(sql).bind(after).bind(stated.last.sequence).bind(PAGE).fetch_all(pool).await
        })?;
        let Some(last) = rows.last() else { break };
        after = last.sequence;
        for row in rows {
            if let Err(found) = verifier.take(&Record::from(row)) {
                fault = Some(found);
                break 'pages;
            }
        }
    }
    // The place in the log says more than the seal, which is only then looked at.
    let fault = match fault {
        Some(fault) => Some(fault),
        None => verifier.end(stated.last).err().or(sealed.err()),
    };
    let fault = match fault {
        None => beyond(db, stated.last).await?,
        fault => fault,
    };
    Ok(Verdict {
        fault,
        records: verifier.records(),
        last: verifier.at(),
        anchor: stated.anchor,
    })
}

/// Records behind the end; those that were written meanwhile are not: then the end has moved.
async fn beyond(db: &Db, last: Link) -> Result<Option<Fault>, StoreError> {
    let sql = "
        select min(sequence) from audit_record
        where sequence > $1 and (select sequence from audit_head where id = 1) = $1";
    let sequence: Option<i64> = read!(db, pool => sqlx::query_scalar(sql).bind(last.sequence).fetch_one(pool).await)?;
    Ok(sequence.map(|sequence| Fault::Beyond {
        sequence,
        last: last.sequence,
    }))
}

/// Which records are listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) principal: Option<String>,
    pub(crate) action: Option<String>,
    /// What the resource is, or ends in.
    pub(crate) resource: Option<String>,
    pub(crate) decision: Option<String>,
    /// In microseconds, included.
    pub(crate) since: Option<i64>,
    /// In microseconds, excluded.
    pub(crate) until: Option<i64>,
    /// Oldest first and behind this one, or newest first and before this one.
    pub(crate) place: Place,
    pub(crate) limit: i64,
}

/// Where a list goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Oldest first.
    After(i64),
    /// Newest first.
    Before(i64),
}

impl Default for Place {
    fn default() -> Self {
        Self::Before(i64::MAX)
    }
}

/// Records that match.
pub(crate) async fn list(db: &Db, question: &Question) -> Result<Vec<Record>, StoreError> {
    let (order, at) = match question.place {
        Place::After(sequence) => ("sequence > $1", sequence),
        Place::Before(sequence) => ("sequence < $1", sequence),
    };
    let direction = match question.place {
        Place::After(_) => "asc",
        Place::Before(_) => "desc",
    };
    // Safe: constants and placeholders only.
    let sql = AssertSqlSafe(format!(
        "{SELECT} where {order}
            and (cast($2 as text) is null or principal = $2) and (cast($3 as text) is null or action = $3)
            and (cast($4 as text) is null or decision = $4)
            and recorded_at >= $5 and recorded_at < $6
            and (cast($8 as text) is null or substr(resource, length(resource) - length($8) + 1) = $8)
        order by sequence {direction} limit $7"
    ));
    let rows: Vec<RecordRow> = read!(db, pool => {
        sqlx::query_as(sql)
            .bind(at)
            .bind(&question.principal)
            .bind(&question.action)
            .bind(&question.decision)
            .bind(question.since.unwrap_or(i64::MIN))
            .bind(question.until.unwrap_or(i64::MAX))
            .bind(question.limit)
            .bind(&question.resource)
            .fetch_all(pool)
            .await
    })?;
    Ok(rows.into_iter().map(Record::from).collect())
}
