//! Users, groups and roles.

use std::collections::HashMap;

use muster_store::{Column, Db, StoreError, json, read, transact};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Outcome, count, find, take_turn, tell};
use crate::domain::identity::{Kind, Tags, Who};
use crate::error::AccessError;

pub(crate) const FIND: &str = "select id, name, created_at from identity where kind = $1 and name = $2";
const LIST: &str = "
    select id, name, created_at from identity where kind = $1 and folded > $2 order by folded limit $3";
const INSERT: &str = "insert into identity (id, kind, name, folded, created_at) values ($1, $2, $3, $4, $5)";
const INSERT_TAGS: &str = "
    insert into identity_tag (identity_id, key, value) select r.identity_id, r.key, r.value from {rows} as r";
const TAGS: &str = "
    select t.identity_id, t.key, t.value
    from {rows} as r join identity_tag as t on t.identity_id = r.identity_id order by t.key";

/// A user, a group or a role.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct IdentityRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_at: i64,
}

/// `user/alice`, as changes name whom they concern.
pub(crate) fn place(who: &Who) -> String {
    format!("{}/{}", who.kind, who.name)
}

/// Makes one. At most `limit` of its kind; the user `root` does not count.
pub(crate) async fn create(db: &Db, who: &Who, tags: &Tags, limit: u32, now: i64) -> Outcome<IdentityRow> {
    let row = IdentityRow {
        id: Uuid::new_v4().to_string(),
        name: who.name.clone(),
        created_at: now,
    };
    let tag_rows = json(
        &tags
            .iter()
            .map(|(key, value)| (&row.id, key, value))
            .collect::<Vec<_>>(),
    );
    let insert_tags = db.with_rows(
        INSERT_TAGS,
        &[Column::Text("identity_id"), Column::Text("key"), Column::Text("value")],
    );
    transact!(db, tx => {
        take_turn!(tx);
        let sql = "select name from identity where kind = $1 and folded = $2";
        let other: Option<String> = sqlx::query_scalar(sql)
            .bind(who.kind.as_str())
            .bind(who.folded())
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(name) = other {
            return Ok(Err(AccessError::Exists { kind: who.kind, name }));
        }
        let sql = "select count(*) from identity where kind = $1 and not (kind = 'user' and folded = 'root')";
        if count!(tx, sql, who.kind.as_str()) >= i64::from(limit) {
            return Ok(Err(AccessError::TooMany { kind: who.kind, limit }));
        }
        sqlx::query(INSERT)
            .bind(&row.id)
            .bind(who.kind.as_str())
            .bind(&row.name)
            .bind(who.folded())
            .bind(row.created_at)
            .execute(&mut *tx)
            .await?;
        sqlx::query(insert_tags).bind(&tag_rows).execute(&mut *tx).await?;
        if who.kind != Kind::Group {
            tell!(tx, Some(place(who)), None);
        }
        Ok(Ok(row))
    })
}

/// What must be gone before one can be deleted: a count for the identity's id, and what it means.
fn hangers_on(kind: Kind) -> &'static [(&'static str, &'static str)] {
    const POLICIES: (&str, &str) = (
        "select count(*) from attachment where identity_id = $1",
        "detach its policies first",
    );
    const USER: &[(&str, &str)] = &[
        (
            "select count(*) from access_key where user_id = $1",
            "delete its access keys first",
        ),
        POLICIES,
        (
            "select count(*) from membership where user_id = $1",
            "take it out of its groups first",
        ),
    ];
    const GROUP: &[(&str, &str)] = &[
        (
            "select count(*) from membership where group_id = $1",
            "take its users out of it first",
        ),
        POLICIES,
    ];
    const ROLE: &[(&str, &str)] = &[POLICIES];
    match kind {
        Kind::User => USER,
        Kind::Group => GROUP,
        Kind::Role => ROLE,
    }
}

/// Deletes one that nothing hangs on.
pub(crate) async fn delete(db: &Db, who: &Who) -> Outcome<()> {
    if let Err(refused) = who.refuse_root() {
        return Ok(Err(refused));
    }
    transact!(db, tx => {
        take_turn!(tx);
        let row = find!(tx, who);
        for (sql, why) in hangers_on(who.kind) {
            if count!(tx, *sql, &row.id) > 0 {
                return Ok(Err(AccessError::StillUsed {
                    kind: who.kind.as_str(),
                    name: row.name,
                    why,
                }));
            }
        }
        sqlx::query("delete from identity where id = $1").bind(&row.id).execute(&mut *tx).await?;
        if who.kind != Kind::Group {
            tell!(tx, Some(place(who)), None);
        }
        Ok(Ok(()))
    })
}

/// One by its name; names are compared letter by letter.
pub(crate) async fn find(db: &Db, who: &Who) -> Outcome<IdentityRow> {
    let row: Option<IdentityRow> = read!(db, pool => {
        sqlx::query_as(FIND).bind(who.kind.as_str()).bind(&who.name).fetch_optional(pool).await
    })?;
    Ok(row.ok_or_else(|| who.missing()))
}

/// Those of a kind behind this name, by name.
pub(crate) async fn list(db: &Db, kind: Kind, after: &str, limit: i64) -> Result<Vec<IdentityRow>, StoreError> {
    Ok(read!(db, pool => {
        sqlx::query_as(LIST).bind(kind.as_str()).bind(after).bind(limit).fetch_all(pool).await
    })?)
}

/// The tags of some of them, by id; one without tags is not in it.
pub(crate) async fn tags(db: &Db, rows: &[IdentityRow]) -> Result<HashMap<String, Tags>, StoreError> {
    let sql = db.with_rows(TAGS, &[Column::Text("identity_id")]);
    let ids = json(&rows.iter().map(|row| (&row.id,)).collect::<Vec<_>>());
    let found: Vec<(String, String, String)> = read!(db, pool => sqlx::query_as(sql).bind(ids).fetch_all(pool).await)?;
    let mut tags: HashMap<String, Tags> = HashMap::new();
    for (id, key, value) in found {
        tags.entry(id).or_default().insert(key, value);
    }
    Ok(tags)
}
