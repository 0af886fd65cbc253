//! Fleet in this process, over a real bus: each behaviour by gRPC and by NATS.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[macro_use]
mod world;
mod activations;
mod admissions;
mod at_the_gateway;
mod bursts;
mod claims;
mod hellos;
mod lists;
mod machine;
mod news;
mod node_list;
mod registration;
mod renewals;
mod revocations;
mod rotation;
mod sessions;
mod signs_of_life;
mod tags;
mod targets;
