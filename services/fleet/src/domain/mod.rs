//! Activations and whom they let in, roles, facts, filters, ping status, tags and target expressions. Pure: no IO, time
//! comes as an argument.

pub(crate) mod activation;
pub(crate) mod admission;
pub(crate) mod claim;
pub(crate) mod code;
pub(crate) mod condition;
pub(crate) mod facts;
pub(crate) mod filter;
pub(crate) mod identity;
pub(crate) mod node_list;
pub(crate) mod ping;
pub(crate) mod property_filter;
pub(crate) mod revocation;
pub(crate) mod role;
pub(crate) mod rotation;
pub(crate) mod session;
pub(crate) mod tag;
pub(crate) mod target;
