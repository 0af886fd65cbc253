//! Queries. Writes are set-based: a burst of commands or of news is one transaction of a few statements.

pub(crate) mod accept;
pub(crate) mod alarm;
pub(crate) mod cancel;
pub(crate) mod news;
pub(crate) mod outbox;
pub(crate) mod read;
pub(crate) mod record;
pub(crate) mod retention;
mod row;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use row::decode;

pub(crate) use row::{CommandRow, InvocationRow};
