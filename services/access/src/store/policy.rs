//! Policies of people's own. The built-in ones are in the program.

use muster_policy::builtin;
use muster_store::{Db, StoreError, read, transact};
use sqlx::FromRow;

use super::{Outcome, count, take_turn, tell};
use crate::error::AccessError;

const UPSERT: &str = "
    insert into policy (name, folded, description, document, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $5)
    on conflict (name) do update
    set description = excluded.description, document = excluded.document, updated_at = excluded.updated_at";
const FIND: &str = "
    select name, description, document, created_at, updated_at,
        (select count(*) from attachment as a where a.policy_name = policy.name) as attachments
    from policy where name = $1";
const LIST: &str = "
    select name, description, '' as document, created_at, updated_at,
        (select count(*) from attachment as a where a.policy_name = policy.name) as attachments
    from policy where folded > $1 order by folded limit $2";

/// A policy of people's own.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct PolicyRow {
    pub(crate) name: String,
    pub(crate) description: String,
    /// Empty in lists.
    pub(crate) document: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    /// Users, groups and roles that have it.
    pub(crate) attachments: i64,
}

/// What a policy is made of; the text has been found to be one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewPolicy<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    pub(crate) document: &'a str,
    pub(crate) now: i64,
}

/// Whether a built-in policy has the name, in whatever case.
pub(crate) fn is_built_in(name: &str) -> bool {
    builtin::ALL.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// Makes a policy, or replaces its text.
pub(crate) async fn put(db: &Db, new: NewPolicy<'_>, limit: u32) -> Outcome<PolicyRow> {
    let (name, folded) = (new.name, new.name.to_lowercase());
    if is_built_in(name) {
        return Ok(Err(AccessError::BuiltIn { name: name.to_owned() }));
    }
    transact!(db, tx => {
        take_turn!(tx);
        let other: Option<String> = sqlx::query_scalar("select name from policy where folded = $1")
            .bind(&folded)
            .fetch_optional(&mut *tx)
            .await?;
        match other {
            Some(other) if other != name => {
                return Ok(Err(AccessError::PolicyExists { name: name.to_owned(), other }));
            }
            None if count!(tx, "select count(*) from policy") >= i64::from(limit) => {
                return Ok(Err(AccessError::TooManyPolicies { limit }));
            }
            _ => {}
        }
        sqlx::query(UPSERT)
            .bind(name)
            .bind(&folded)
            .bind(new.description)
            .bind(new.document)
            .bind(new.now)
            .execute(&mut *tx)
            .await?;
        let row: PolicyRow = sqlx::query_as(FIND).bind(name).fetch_one(&mut *tx).await?;
        // Nobody has a new one: there is nothing to be told.
        if row.attachments > 0 {
            tell!(tx, None, None);
        }
        Ok(Ok(row))
    })
}

/// Deletes a policy that nobody has.
pub(crate) async fn delete(db: &Db, name: &str) -> Outcome<()> {
    if is_built_in(name) {
        return Ok(Err(AccessError::BuiltIn { name: name.to_owned() }));
    }
    transact!(db, tx => {
        take_turn!(tx);
        let row: Option<PolicyRow> = sqlx::query_as(FIND).bind(name).fetch_optional(&mut *tx).await?;
        match row {
            None => Ok(Err(AccessError::MissingPolicy { name: name.to_owned() })),
            Some(row) if row.attachments > 0 => Ok(Err(AccessError::StillUsed {
                kind: "policy",
                name: row.name,
                why: "detach it from everybody first",
            })),
            Some(_) => {
                sqlx::query("delete from policy where name = $1").bind(name).execute(&mut *tx).await?;
                Ok(Ok(()))
            }
        }
    })
}

/// A policy of people's own, with its text.
pub(crate) async fn find(db: &Db, name: &str) -> Outcome<PolicyRow> {
    let row: Option<PolicyRow> = read!(db, pool => sqlx::query_as(FIND).bind(name).fetch_optional(pool).await)?;
    Ok(row.ok_or_else(|| AccessError::MissingPolicy { name: name.to_owned() }))
}

/// Policies behind this name, by name, without their texts.
pub(crate) async fn list(db: &Db, after: &str, limit: i64) -> Result<Vec<PolicyRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(pool).await)?)
}

/// How many users, groups and roles have a policy.
pub(crate) async fn attachments(db: &Db, name: &str) -> Result<i64, StoreError> {
    let sql = "select count(*) from attachment where policy_name = $1";
    Ok(read!(db, pool => sqlx::query_scalar(sql).bind(name).fetch_one(pool).await)?)
}
