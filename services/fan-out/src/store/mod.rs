//! Queries. Everything that a batch of events brings about is one transaction of a few set-based statements.
//!
//! - `commit`: what a batch writes; refused as a whole when another replica has taken one of its rollouts over.
//! - `lease`: which rollouts belong to whom.
//! - `load`: a rollout as it stands.
//! - `retention`: old rollouts go.
//! - `row`: how progress and messages are written in columns.

pub(crate) mod commit;
pub(crate) mod lease;
pub(crate) mod load;
pub(crate) mod retention;
mod row;
#[cfg(test)]
mod tests;
