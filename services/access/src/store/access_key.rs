//! Access keys.

use muster_store::{Column, Db, StoreError, json, read, transact};
use sqlx::FromRow;
use uuid::Uuid;

use super::identity::place;
use super::{Outcome, count, find, take_turn, tell};
use crate::domain::access_key::check_room;
use crate::domain::identity::{Kind, ROOT, Who};
use crate::error::AccessError;

const INSERT: &str = "
    insert into access_key (access_key_id, user_id, is_active, created_at, last_used_at, key_id, secret)
    values ($1, $2, true, $3, null, $4, $5)";
const LIST: &str = "
    select k.access_key_id, i.name as user_name, k.is_active, k.created_at, k.last_used_at
    from access_key as k join identity as i on i.id = k.user_id
    where k.access_key_id > $1 and (cast($2 as text) is null or k.user_id = $2) order by k.access_key_id limit $3";
const SEALED: &str = "
    select i.name as user_name, k.is_active, k.key_id, k.secret
    from access_key as k join identity as i on i.id = k.user_id where k.access_key_id = $1";
const OWNER: &str = "
    select i.name from access_key as k join identity as i on i.id = k.user_id where k.access_key_id = $1";
const USED: &str = "
    update access_key set last_used_at = r.at from {rows} as r
    where access_key.access_key_id = r.id and (access_key.last_used_at is null or access_key.last_used_at < r.at)";
const KEYS_IN_USE: &str = "
    select distinct key_id from access_key union select key_id from audit_head order by 1";

/// An access key with what keeps its secret.
#[derive(Debug, Clone)]
pub(crate) struct NewKey<'a> {
    pub(crate) access_key_id: &'a str,
    pub(crate) key_id: &'a str,
    /// Encrypted.
    pub(crate) secret: &'a str,
    pub(crate) now: i64,
}

/// What is shown of an access key.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct AccessKeyRow {
    pub(crate) access_key_id: String,
    pub(crate) user_name: String,
    pub(crate) is_active: bool,
    pub(crate) created_at: i64,
    pub(crate) last_used_at: Option<i64>,
}

/// An access key with its encrypted secret.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct SealedKeyRow {
    pub(crate) user_name: String,
    pub(crate) is_active: bool,
    pub(crate) key_id: String,
    pub(crate) secret: String,
}

/// Gives a user an access key.
pub(crate) async fn create(db: &Db, user: &Who, new: &NewKey<'_>) -> Outcome<()> {
    if let Err(refused) = user.refuse_root() {
        return Ok(Err(refused));
    }
    transact!(db, tx => {
        take_turn!(tx);
        let row = find!(tx, user);
        let present = count!(tx, "select count(*) from access_key where user_id = $1", &row.id);
        if let Err(refused) = check_room(&row.name, usize::try_from(present).unwrap_or(usize::MAX)) {
            return Ok(Err(refused));
        }
        sqlx::query(INSERT)
            .bind(new.access_key_id)
            .bind(&row.id)
            .bind(new.now)
            .bind(new.key_id)
            .bind(new.secret)
            .execute(&mut *tx)
            .await?;
        tell!(tx, Some(place(user)), Some(new.access_key_id));
        Ok(Ok(()))
    })
}

/// Makes the user `root` with everything, and its one access key. With `replace` its old keys end; without it, nothing
/// is done if there is a `root` already: `false`.
pub(crate) async fn bootstrap(db: &Db, new: &NewKey<'_>, replace: bool) -> Result<bool, StoreError> {
    let root = Who::user(ROOT);
    let fresh = Uuid::new_v4().to_string();
    transact!(db, tx => {
        take_turn!(tx);
        let id: Option<String> = sqlx::query_scalar("select id from identity where kind = $1 and name = $2")
            .bind(Kind::User.as_str())
            .bind(ROOT)
            .fetch_optional(&mut *tx)
            .await?;
        let id = match id {
            Some(_) if !replace => return Ok(false),
            Some(id) => id,
            None => {
                sqlx::query("insert into identity (id, kind, name, folded, created_at) values ($1, $2, $3, $3, $4)")
                    .bind(&fresh)
                    .bind(Kind::User.as_str())
                    .bind(ROOT)
                    .bind(new.now)
                    .execute(&mut *tx)
                    .await?;
                fresh
            }
        };
        sqlx::query("insert into attachment (identity_id, policy_name) values ($1, 'admin') on conflict do nothing")
            .bind(&id)
            .execute(&mut *tx)
            .await?;
        let old: Vec<String> = sqlx::query_scalar("delete from access_key where user_id = $1 returning access_key_id")
            .bind(&id)
            .fetch_all(&mut *tx)
            .await?;
        for old in &old {
            tell!(tx, Some(place(&root)), Some(old));
        }
        sqlx::query(INSERT)
            .bind(new.access_key_id)
            .bind(&id)
            .bind(new.now)
            .bind(new.key_id)
            .bind(new.secret)
            .execute(&mut *tx)
            .await?;
        tell!(tx, Some(place(&root)), Some(new.access_key_id));
        Ok(true)
    })
}

/// Switches an access key on or off.
pub(crate) async fn set_active(db: &Db, id: &str, is_active: bool) -> Outcome<()> {
    transact!(db, tx => {
        take_turn!(tx);
        let owner: Option<String> = sqlx::query_scalar(OWNER).bind(id).fetch_optional(&mut *tx).await?;
        let Some(owner) = owner else {
            return Ok(Err(AccessError::MissingKey { id: id.to_owned() }));
        };
        sqlx::query("update access_key set is_active = $2 where access_key_id = $1")
            .bind(id)
            .bind(is_active)
            .execute(&mut *tx)
            .await?;
        tell!(tx, Some(place(&Who::user(owner))), Some(id));
        Ok(Ok(()))
    })
}

/// Deletes an access key.
pub(crate) async fn delete(db: &Db, id: &str) -> Outcome<()> {
    transact!(db, tx => {
        take_turn!(tx);
        let owner: Option<String> = sqlx::query_scalar(OWNER).bind(id).fetch_optional(&mut *tx).await?;
        let Some(owner) = owner else {
            return Ok(Err(AccessError::MissingKey { id: id.to_owned() }));
        };
        sqlx::query("delete from access_key where access_key_id = $1").bind(id).execute(&mut *tx).await?;
        tell!(tx, Some(place(&Who::user(owner))), Some(id));
        Ok(Ok(()))
    })
}

/// Access keys behind this one, by id: of a user, by its id, or of everybody.
pub(crate) async fn list(
    db: &Db,
    user: Option<&str>,
    after: &str,
    limit: i64,
) -> Result<Vec<AccessKeyRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(LIST).bind(after).bind(user).bind(limit).fetch_all(pool).await)?)
}

/// An access key with its encrypted secret.
pub(crate) async fn sealed(db: &Db, id: &str) -> Result<Option<SealedKeyRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(SEALED).bind(id).fetch_optional(pool).await)?)
}

/// Notes when access keys were last used, in microseconds; nothing goes backwards.
pub(crate) async fn used(db: &Db, uses: &[(String, i64)]) -> Result<(), StoreError> {
    let sql = db.with_rows(USED, &[Column::Text("id"), Column::BigInt("at")]);
    let rows = json(uses);
    transact!(db, tx => {
        sqlx::query(sql).bind(&rows).execute(&mut *tx).await?;
        Ok(())
    })
}

/// The keys of the key file that something in the tables was encrypted or sealed with.
pub(crate) async fn keys_in_use(db: &Db) -> Result<Vec<String>, StoreError> {
    Ok(read!(db, pool => sqlx::query_scalar(KEYS_IN_USE).fetch_all(pool).await)?)
}
