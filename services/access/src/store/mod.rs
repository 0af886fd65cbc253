//! Queries. Writers take turns on the row of `catalogue`; readers never wait. The audit log has a turn of its own.

pub(crate) mod access_key;
pub(crate) mod attachment;
pub(crate) mod audit;
pub(crate) mod change;
pub(crate) mod first_admin;
pub(crate) mod group;
pub(crate) mod identity;
pub(crate) mod policy;
pub(crate) mod principal;

#[cfg(test)]
mod tests;

use muster_store::StoreError;

use crate::error::AccessError;

/// What a query answers: what the domain decided, unless the database has troubles of its own.
pub(crate) type Outcome<T> = Result<Result<T, AccessError>, StoreError>;

/// Waits for this writer's turn; the epoch grows.
macro_rules! take_turn {
    ($tx:ident) => {
        sqlx::query("update catalogue set epoch = epoch + 1 where id = 1")
            .execute(&mut *$tx)
            .await?
    };
}

/// Loads an identity inside a transaction, or ends the block with the refusal that it is not there.
macro_rules! find {
    ($tx:ident, $who:expr) => {{
        let row: Option<$crate::store::identity::IdentityRow> = sqlx::query_as($crate::store::identity::FIND)
            .bind($who.kind.as_str())
            .bind(&$who.name)
            .fetch_optional(&mut *$tx)
            .await?;
        match row {
            Some(row) => row,
            None => return Ok(Err($who.missing())),
        }
    }};
}

/// Writes down, inside the transaction of a change, that it is to be told: whom it concerns, and which access key.
macro_rules! tell {
    ($tx:ident, $principal:expr, $access_key_id:expr) => {{
        let principal: Option<String> = $principal;
        let access_key_id: Option<&str> = $access_key_id;
        sqlx::query($crate::store::change::INSERT)
            .bind(uuid::Uuid::now_v7().to_string())
            .bind(principal)
            .bind(access_key_id)
            .execute(&mut *$tx)
            .await?
    }};
}

/// Counts inside a transaction.
macro_rules! count {
    ($tx:ident, $sql:expr $(, $value:expr)*) => {{
        let count: i64 = sqlx::query_scalar($sql)$(.bind($value))*.fetch_one(&mut *$tx).await?;
        count
    }};
}

pub(crate) use {count, find, take_turn, tell};
