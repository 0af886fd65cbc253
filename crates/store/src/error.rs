//! What can go wrong in a store.

/// What can go wrong in a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row with this key exists, or a rule between tables is broken.
    #[error("conflict on {constraint}")]
    Conflict {
        /// The constraint, or what the driver said of it.
        constraint: String,
    },
    /// A row that must be there is not.
    #[error("a row is missing")]
    Missing,
    /// The database does not answer; try again.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The database said something that cannot be.
    #[error("the database gave an unexpected answer")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The tables could not be brought up to date.
    #[error("the migration failed")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The address is none of the two kinds.
    #[error("{url:?} is neither sqlite:<path> nor postgres://…")]
    Address {
        /// The address without credentials.
        url: String,
    },
}

impl StoreError {
    /// A stored value that its type cannot read.
    pub fn corrupt(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Corrupt(cause.into())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::RowNotFound => Self::Missing,
            sqlx::Error::Database(database)
                if database.is_unique_violation() || database.is_foreign_key_violation() =>
            {
                let constraint = database
                    .constraint()
                    .map_or_else(|| database.message().to_owned(), str::to_owned);
                Self::Conflict { constraint }
            }
            // SQLITE_BUSY and SQLITE_LOCKED; PostgreSQL's classes 08 (connection), 40 (serialisation), 53, 57.
            sqlx::Error::Database(database)
                if database.code().is_some_and(|code| {
                    matches!(code.as_ref(), "5" | "6" | "261" | "262" | "517")
                        || ["08", "40", "53", "57"]
                            .iter()
                            .any(|class| code.len() == 5 && code.starts_with(class))
                }) =>
            {
                Self::Unavailable(error)
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Corrupt(Box::new(error)),
        }
    }
}
