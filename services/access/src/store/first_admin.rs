//! Users that the settings asked for.

use muster_store::{Db, StoreError, read, transact};
use uuid::Uuid;

use super::identity::place;
use super::{count, take_turn, tell};
use crate::domain::identity::{Kind, Who};

const DONE: &str = "insert into first_admin (name, made_at) values ($1, $2) on conflict (name) do nothing";
const INSERT: &str = "insert into identity (id, kind, name, folded, created_at) values ($1, $2, $3, $4, $5)";
const ATTACH: &str = "insert into attachment (identity_id, policy_name) values ($1, 'admin')";

/// Whether it was done before.
pub(crate) async fn is_made(db: &Db, name: &str) -> Result<bool, StoreError> {
    let sql = "select count(*) from first_admin where name = $1";
    let count: i64 = read!(db, pool => sqlx::query_scalar(sql).bind(name).fetch_one(pool).await)?;
    Ok(count > 0)
}

/// Makes a user with the policy `admin`, once. `false` if it was done before, or if there is a user of that name.
pub(crate) async fn make(db: &Db, name: &str, now: i64) -> Result<bool, StoreError> {
    let (user, id) = (Who::user(name), Uuid::new_v4().to_string());
    transact!(db, tx => {
        take_turn!(tx);
        let done = sqlx::query(DONE).bind(name).bind(now).execute(&mut *tx).await?;
        let sql = "select count(*) from identity where kind = $1 and folded = $2";
        let is_there = count!(tx, sql, user.kind.as_str(), user.folded()) > 0;
        if done.rows_affected() == 0 || is_there {
            return Ok(false);
        }
        sqlx::query(INSERT)
            .bind(&id)
            .bind(Kind::User.as_str())
            .bind(name)
            .bind(user.folded())
            .bind(now)
            .execute(&mut *tx)
            .await?;
        sqlx::query(ATTACH).bind(&id).execute(&mut *tx).await?;
        tell!(tx, Some(place(&user)), None);
        Ok(true)
    })
}
