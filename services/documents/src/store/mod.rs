//! Queries. Writers take turns on the row of `catalogue`; readers never wait.

pub(crate) mod files;
pub(crate) mod list;
pub(crate) mod read;
pub(crate) mod review;
pub(crate) mod row;
pub(crate) mod tag;
pub(crate) mod write;

#[cfg(test)]
mod tests;

use muster_store::StoreError;

use crate::error::DocumentError;

/// What a query answers: what the domain decided, unless the database has troubles of its own.
pub(crate) type Outcome<T> = Result<Result<T, DocumentError>, StoreError>;

/// Loads a document and its versions inside a transaction.
macro_rules! history {
    ($tx:ident, $name:expr) => {{
        let head: Option<$crate::store::row::HeadRow> = sqlx::query_as($crate::store::row::HEAD)
            .bind($name)
            .fetch_optional(&mut *$tx)
            .await?;
        match head {
            None => None,
            Some(head) => {
                let versions: Vec<$crate::store::row::KeyRow> = sqlx::query_as($crate::store::row::KEYS)
                    .bind(&head.id)
                    .fetch_all(&mut *$tx)
                    .await?;
                Some(head.history(versions))
            }
        }
    }};
}

/// Waits for this writer's turn.
macro_rules! take_turn {
    ($tx:ident) => {
        sqlx::query("update catalogue set writes = writes + 1 where id = 1")
            .execute(&mut *$tx)
            .await?
    };
}

pub(crate) use {history, take_turn};
