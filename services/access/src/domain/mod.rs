//! What is decided, without IO and without asking a clock.

pub(crate) mod access_key;
pub(crate) mod audit;
pub(crate) mod identity;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod signing;
pub(crate) mod web_identity;
