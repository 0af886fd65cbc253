//! Activations and their codes, roles, facts, filters, ping status, tags and target expressions. Pure: no IO, time comes as an argument.

pub(crate) mod activation;
pub(crate) mod code;
pub(crate) mod condition;
pub(crate) mod facts;
pub(crate) mod filter;
pub(crate) mod ping;
pub(crate) mod property_filter;
pub(crate) mod role;
pub(crate) mod tag;
pub(crate) mod target;
