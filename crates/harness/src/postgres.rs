//! A PostgreSQL database of a test's own.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// Names the server; `cargo xtask test --postgres` starts one and sets it.
const SERVER: &str = "MUSTER_TEST_POSTGRES";

/// An empty database on the server that `MUSTER_TEST_POSTGRES` names; dropped with the test.
#[derive(Debug)]
pub struct Postgres {
    server: PgConnectOptions,
    name: String,
}

impl Postgres {
    /// Makes one, or gives nothing where no server is at hand.
    ///
    /// # Panics
    /// If the server is named but cannot be used: a test run that believes it has tested PostgreSQL is worse than
    /// one that fails.
    pub async fn start() -> Option<Self> {
        let url = std::env::var(SERVER).ok()?;
        let server = PgConnectOptions::from_str(&url)
            .unwrap_or_else(|error| panic!("{SERVER} is not an address of PostgreSQL: {error}"));
        let name = format!("muster_{}", uuid::Uuid::new_v4().simple());
        execute(&server, format!("create database {name}"))
            .await
            .unwrap_or_else(|error| panic!("no database can be made on {SERVER}: {error}"));
        Some(Self { server, name })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.clone().database(&self.name).to_url_lossy().to_string()
    }
}

impl Drop for Postgres {
    /// Waits for the drop on a thread of its own: the test's runtime may be gone or busy.
    fn drop(&mut self) {
        let server = self.server.clone();
        let name = self.name.clone();
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(execute(&server, format!("drop database {name} with (force)")))
        })
        .join();
        if !matches!(dropped, Ok(Ok(()))) {
            #[expect(
                clippy::print_stderr,
                reason = "a database that stays behind is worth a line, not a failure"
            )]
            {
                eprintln!("the test's database {} stays behind", self.name);
            }
        }
    }
}

async fn execute(server: &PgConnectOptions, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = server.connect().await?;
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_databases_of_one_server_are_apart() {
        let (Some(one), Some(two)) = (Postgres::start().await, Postgres::start().await) else {
            return;
        };
        let one = PgConnectOptions::from_str(&one.url()).unwrap();
        execute(&one, "create table here (id int)".to_owned()).await.unwrap();
        let two = PgConnectOptions::from_str(&two.url()).unwrap();
        assert!(execute(&two, "select * from here".to_owned()).await.is_err());
    }
}
