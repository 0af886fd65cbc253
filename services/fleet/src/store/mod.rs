//! Queries. Writes are set-based: a burst of registrations, hellos or heartbeats is one transaction.

pub(crate) mod activation;
pub(crate) mod admit;
pub(crate) mod alien;
pub(crate) mod claim;
pub(crate) mod hello;
pub(crate) mod identity;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod node;
pub(crate) mod presence;
pub(crate) mod register;
pub(crate) mod session;
pub(crate) mod tag;
pub(crate) mod target;
#[cfg(test)]
mod tests;
