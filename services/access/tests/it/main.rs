//! The service in this process, with a NATS server and a database of its own, asked by NATS and by gRPC.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod audit;
mod bootstrap;
mod decisions;
mod keys;
mod news;
mod people;
mod policies;
mod service;
mod surfaces;
