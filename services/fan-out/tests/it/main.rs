//! The coordinator as it runs: a real broker, a real database, nodes and an owner that speak the protocol.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod absence;
mod cancelling;
mod delivery;
mod disasters;
mod node;
mod owner;
mod replicas;
mod signing;
mod world;
