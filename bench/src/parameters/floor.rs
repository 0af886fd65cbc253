//! The plainest thing that keeps parameters: a table, a query for each read, a transaction with a sync for each write.

use std::time::Duration;

use anyhow::Result;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::{NAMES, VALUE, name};
use crate::world::World;

/// Starts it, and gives its address.
pub(super) async fn start(world: &World) -> Result<String> {
    let file = world.folder().join("floor.sqlite");
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10));
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone())
        .await?;
    let reader = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options)
        .await?;
    sqlx::query("create table parameter (name text primary key, version bigint not null, value text not null)")
        .execute(&writer)
        .await?;
    for number in 0..NAMES {
        write(&writer, &name(number)).await?;
    }
    let router = Router::new().fallback(post(serve)).with_state((writer, reader));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn write(pool: &SqlitePool, name: &str) -> Result<i64, sqlx::Error> {
    let sql = "insert into parameter (name, version, value) values ($1, 1, $2)
        on conflict (name) do update set version = version + 1, value = excluded.value returning version";
    sqlx::query_scalar(sql).bind(name).bind(VALUE).fetch_one(pool).await
}

async fn serve(
    State((writer, reader)): State<(SqlitePool, SqlitePool)>,
    body: Bytes,
) -> Result<Json<Value>, http::StatusCode> {
    let failed = |_| http::StatusCode::INTERNAL_SERVER_ERROR;
    let asked: Value = serde_json::from_slice(&body).map_err(|_| http::StatusCode::BAD_REQUEST)?;
    let name = asked["Name"].as_str().unwrap_or_default();
    if asked["Value"].is_string() {
        let version = write(&writer, name).await.map_err(failed)?;
        return Ok(Json(json!({"Version": version, "Tier": "Standard"})));
    }
    let (version, value): (i64, String) = sqlx::query_as("select version, value from parameter where name = $1")
        .bind(name)
        .fetch_one(&reader)
        .await
        .map_err(failed)?;
    Ok(Json(
        json!({"Parameter": {"Name": name, "Type": "String", "Value": value, "Version": version}}),
    ))
}
