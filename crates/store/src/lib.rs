//! SQLite for one machine, PostgreSQL for many: one SQL text for both.
//!
//! - [`Db`] is an open database; [`read!`] and [`transact!`] run one body on either driver.
//! - [`Db::with_rows`] makes statements that write hundreds of rows at once.
//! - [`Pager`] makes the opaque tokens of list operations, with a key from the [`Secret`] of the database.
//! - [`StoreError`] is what can go wrong, as callers need to tell it apart.
//!
//! Dialect: `$1` placeholders, TEXT, BIGINT (times in microseconds), BOOLEAN, DOUBLE PRECISION.
//! On SQLite an `insert … select … on conflict` needs a `where true` before `on conflict`.
//! This crate names no table of a service.

mod db;
mod error;
mod page;
mod rows;
mod secret;

pub use db::{Db, SqlitePools};
pub use error::StoreError;
pub use page::{BadToken, Pager};
pub use rows::{Column, json};
pub use secret::Secret;
pub use sqlx;
