//! What commands and invocations are and how they change. Pure: no IO, time comes as an argument.

pub(crate) mod alarm;
pub(crate) mod client_token;
pub(crate) mod command;
pub(crate) mod event;
pub(crate) mod filter;
pub(crate) mod following;
pub(crate) mod invocation;
pub(crate) mod location;
pub(crate) mod log_stream;
pub(crate) mod notification;
pub(crate) mod output;
pub(crate) mod plain_text;
pub(crate) mod sight;
pub(crate) mod status;
pub(crate) mod targets;
