//! Queries. Writers take turns on the row of `catalogue`; readers never wait, and see every write that was answered.

pub(crate) mod delete;
pub(crate) mod key;
pub(crate) mod label;
pub(crate) mod list;
pub(crate) mod news;
pub(crate) mod put;
pub(crate) mod read;
pub(crate) mod row;
pub(crate) mod setting;
pub(crate) mod tag;
pub(crate) mod timer;

#[cfg(test)]
mod tests;

use muster_store::{Db, StoreError};

use crate::error::ParameterError;

/// What a query answers: what the domain decided, unless the database has troubles of its own.
pub(crate) type Outcome<T> = Result<Result<T, ParameterError>, StoreError>;

/// What a writer learns when its turn comes: the number of the turn, and how many parameters of each tier there are.
pub(crate) type Turn = (i64, i64, i64);

const TAKE_TURN: &str = "
    update catalogue set writes = writes + 1 where id = 1 returning writes, standard, advanced";

/// Waits for this writer's turn.
macro_rules! take_turn {
    ($tx:ident) => {{
        let turn: $crate::store::Turn = sqlx::query_as($crate::store::TAKE_TURN).fetch_one(&mut *$tx).await?;
        turn
    }};
}

/// Writes the events of a turn inside its transaction.
macro_rules! tell {
    ($db:expr, $tx:ident, $turn:expr, $events:expr) => {
        if !$events.is_empty() {
            sqlx::query($db.with_rows($crate::store::news::INSERT, &$crate::store::news::COLUMNS))
                .bind($crate::store::news::rows($turn, &$events))
                .execute(&mut *$tx)
                .await?;
        }
    };
}

/// The live parameter of a path inside a transaction, as a [`row::IdRow`].
macro_rules! find {
    ($tx:ident, $path:expr, $now:expr) => {{
        let row: Option<$crate::store::row::IdRow> = sqlx::query_as($crate::store::row::ID)
            .bind($path)
            .bind($now)
            .fetch_optional(&mut *$tx)
            .await?;
        row
    }};
}

use {find, take_turn, tell};

/// Makes what the two databases need in different words: on PostgreSQL paths are compared byte by byte only where an
/// index says so; SQLite knows nothing else.
pub(crate) async fn prepare(db: &Db) -> Result<(), StoreError> {
    let indexes = match db {
        Db::Postgres(_) => [
            "create index if not exists parameter_by_path on parameter (path collate \"C\")",
            "create index if not exists parameter_by_parent on parameter (parent, path collate \"C\")",
        ],
        Db::Sqlite(_) => [
            "create index if not exists parameter_by_path on parameter (path)",
            "create index if not exists parameter_by_parent on parameter (parent, path)",
        ],
    };
    muster_store::transact!(db, tx => {
        // Two replicas may start at once.
        take_turn!(tx);
        for index in indexes {
            sqlx::query(index).execute(&mut *tx).await?;
        }
        Ok(())
    })
}

/// The path as it is compared byte by byte.
fn bytewise(db: &Db) -> &'static str {
    match db {
        Db::Postgres(_) => "p.path collate \"C\"",
        Db::Sqlite(_) => "p.path",
    }
}
