//! The gateway over real sockets and a real bus, before a service made for the purpose.

mod authentication;
mod client;
mod errors;
mod fake;
mod repeats;
mod requests;
mod visibility;
mod world;
