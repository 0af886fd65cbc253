//! An open database.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::StoreError;

/// An open, migrated database.
#[derive(Debug, Clone)]
pub enum Db {
    /// One file.
    Sqlite(SqlitePools),
    /// One schema of a PostgreSQL database.
    Postgres(PgPool),
}

/// SQLite takes one writer at a time: writers queue here and not on a lock in the file, readers never wait.
#[derive(Debug, Clone)]
pub struct SqlitePools {
    /// One connection, for transactions that write.
    pub writer: SqlitePool,
    /// Connections that only read.
    pub reader: SqlitePool,
}

/// Runs one expression that reads, on either driver: `read!(db, pool => query.fetch_all(pool).await)`.
#[macro_export]
macro_rules! read {
    ($db:expr, $pool:ident => $body:expr) => {
        match $db {
            $crate::Db::Sqlite(pools) => {
                let $pool = &pools.reader;
                $body
            }
            $crate::Db::Postgres(pool) => {
                let $pool = pool;
                $body
            }
        }
    };
}

/// Runs one block as a transaction that writes, on either driver.
///
/// `transact!(db, tx => { sqlx::query(X).execute(&mut *tx).await?; Ok(1) })` commits if the block is `Ok`
/// and rolls back otherwise; the whole is a `Result<_, StoreError>`.
#[macro_export]
macro_rules! transact {
    ($db:expr, $tx:ident => $body:block) => {
        match $db {
            $crate::Db::Sqlite(pools) => {
                async {
                    let mut transaction = pools.writer.begin_with("BEGIN IMMEDIATE").await?;
                    let outcome: ::std::result::Result<_, $crate::StoreError> = async {
                        let $tx = &mut *transaction;
                        $body
                    }
                    .await;
                    let value = outcome?;
                    transaction.commit().await?;
                    ::std::result::Result::<_, $crate::StoreError>::Ok(value)
                }
                .await
            }
            $crate::Db::Postgres(pool) => {
                async {
                    let mut transaction = pool.begin().await?;
                    let outcome: ::std::result::Result<_, $crate::StoreError> = async {
                        let $tx = &mut *transaction;
                        $body
                    }
                    .await;
                    let value = outcome?;
                    transaction.commit().await?;
                    ::std::result::Result::<_, $crate::StoreError>::Ok(value)
                }
                .await
            }
        }
    };
}

impl Db {
    /// Opens `sqlite:<path>` or `postgres://…` and brings its tables up to date.
    ///
    /// On PostgreSQL the tables live in the schema `schema`, which is made if it is missing.
    ///
    /// # Errors
    /// If the address is of another kind, the database does not answer, or a migration fails.
    pub async fn open(url: &str, schema: &str, migrations: &Migrator) -> Result<Self, StoreError> {
        let db = if let Some(path) = url.strip_prefix("sqlite:") {
            Self::open_sqlite(path.trim_start_matches("//")).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url, schema).await?
        } else {
            let url = url.split('@').next_back().unwrap_or_default().to_owned();
            return Err(StoreError::Address { url });
        };
        match &db {
            Self::Sqlite(pools) => migrations.run(&pools.writer).await?,
            Self::Postgres(pool) => migrations.run(pool).await?,
        }
        Ok(db)
    }

    async fn open_sqlite(path: &str) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged write survives power loss (DESIGN 5, law 4).
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .pragma("temp_store", "memory")
            .statement_cache_capacity(256);
        // The writer comes first: it makes the file and turns WAL on.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            // A file does not go away; asking it costs two changes of threads.
            .test_before_acquire(false)
            .connect_with(options.clone())
            .await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(4)
            .idle_timeout(Duration::from_secs(60))
            .test_before_acquire(false)
            .connect_lazy_with(options.pragma("query_only", "on"));
        Ok(Self::Sqlite(SqlitePools { writer, reader }))
    }

    async fn open_postgres(url: &str, schema: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?;
        let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
        let once = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        let create = format!("create schema if not exists {quoted}");
        sqlx::query(sqlx::AssertSqlSafe(create)).execute(&once).await?;
        once.close().await;
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .connect_with(options.options([("search_path", quoted.as_str())]))
            .await?;
        Ok(Self::Postgres(pool))
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pools) => {
                pools.reader.close().await;
                pools.writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
