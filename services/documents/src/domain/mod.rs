//! What documents are and how they change. Pure: no IO, time comes as an argument.

pub(crate) mod address;
pub(crate) mod attachment;
pub(crate) mod builtin;
pub(crate) mod draft;
pub(crate) mod filter;
pub(crate) mod history;
pub(crate) mod name;
pub(crate) mod review;
pub(crate) mod share;
pub(crate) mod tag;
pub(crate) mod version;
