//! The service in this process, with a NATS server and a database of its own, asked by NATS and by gRPC.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod audit;
mod concurrency;
mod events;
mod kms;
mod labels;
mod pages;
mod providers;
mod puts;
mod reads;
mod secrets;
mod service;
mod settings;
mod tags;
mod watch;
