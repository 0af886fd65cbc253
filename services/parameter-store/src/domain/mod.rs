//! What parameters are and may be; pure.

pub(crate) mod asked;
pub(crate) mod data_type;
pub(crate) mod event;
pub(crate) mod filter;
pub(crate) mod label;
pub(crate) mod name;
pub(crate) mod pattern;
pub(crate) mod policy;
pub(crate) mod put;
pub(crate) mod scope;
pub(crate) mod setting;
pub(crate) mod tag;
pub(crate) mod tier;
pub(crate) mod value;
