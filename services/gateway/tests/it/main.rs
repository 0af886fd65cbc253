//! The gateway over real sockets and a real bus, before a service made for the purpose.

mod anonymous;
mod authentication;
mod callers;
mod client;
mod errors;
mod fake;
mod http2;
mod identity;
mod keys;
mod oracle;
mod programs;
mod repeats;
mod requests;
mod signatures;
mod signer;
mod throttling;
mod vectors;
mod visibility;
mod world;
