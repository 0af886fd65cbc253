//! Every kind of claims against a real NATS server: what was made is what the server believes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod docs;
mod isolation;
mod probe;
mod reconnect;
mod services;
