//! What tests stand on; a dev-dependency only.
//!
//! - [`NatsServer`]: a NATS server of the test's own, with JetStream, that can be killed and started again;
//!   in operator mode with all the keys ([`Trust`]).
//! - [`until`]: waits for a condition and, when it does not come, says what was seen last. Tests never just sleep.
//! - [`Folder`]: a temporary folder that stays, and is named, when the test fails.
//! - [`Postgres`]: a database of the test's own, where a PostgreSQL server is at hand.
//! - [`Python`]: a server of somebody else's, in Python.
//! - [`Anybody`]: lets everybody call a fake that a test mounts.
//! - [`Signed`]: calls AWS JSON with signatures, hundreds of times if need be.
//! - `World` (feature `world`): every service in this process, with simulated agents; each part can be killed.
//!
//! Everything here panics with a sentence that says what to do: a test has nobody to give an error to.
//! All of it lives on loopback addresses and ends with the test.

mod anybody;
mod folder;
mod nats_server;
mod postgres;
mod python;
mod signed;
mod trust;
mod until;
#[cfg(feature = "world")]
mod world;

pub use anybody::Anybody;
pub use folder::{Folder, write_private};
pub use nats_server::NatsServer;
pub use postgres::Postgres;
pub use python::Python;
pub use signed::{Reply, Signed};
pub use trust::Trust;
pub use until::{until, until_within};
#[cfg(feature = "world")]
pub use world::{Plan, Service, World};
