//! What services stand on, against a real NATS server.

mod credentials;
mod echo;
