//! The whole system as its users see it: real processes of every service, a real NATS server, real agents.
//!
//! [`Cluster`] starts and kills them, [`Api`] calls operations over NATS, [`Aws`] is the real `aws` command line.
//! Everything panics with a sentence: a test has nobody to give an error to.

mod api;
mod aws;
mod cluster;
mod identity_provider;
mod people;
mod process;

pub use api::Api;
pub use aws::{Answer, Aws};
pub use cluster::{AgentSpec, Cluster, SERVICES};
pub use identity_provider::IdentityProvider;
pub use people::People;
pub use process::{binary, python};
