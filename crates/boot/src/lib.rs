//! How a service starts, what it stands on, and how it stops. Knows no business.
//!
//! [`run`] is the whole `main` of a service: arguments, settings, telemetry, ports, database, bus, the service
//! itself, signals, and the way back.
//! [`Parts`] is what a service is given; `muster up` and the tests make it themselves and run the same services
//! in one process.
//! [`Rights`] is what a caller may do; everything that is mounted is decided before the service is asked.
//! [`Echo`] says whether the broker has had what was published.
//! [`Running`] is a service that answers; it can only be had by starting one.

/// Services make and drop many small texts at once on several threads, and mimalloc takes much less time for that than the
/// system's allocator (decision 26). Whatever links this crate has it; the agent does not.
// The crate's own tests link it once more, by the harness, and there can be only one.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod answers;
mod authorize;
mod bus;
mod echo;
mod node_desk;
mod node_quota;
mod parts;
mod private_file;
mod run;
mod settings;
mod tasks;
mod telemetry;
mod tls;

pub use answers::{AnswerKeyError, AnswerSeal};
pub use authorize::{
    AccessOverBus, Authority, Leave, NodeGate, ResourceTags, Rights, TagMap, Touched, rights_lost, while_allowed,
};
pub use bus::{BusError, CredentialsError, connect, connect_now};
pub use echo::{Echo, Mark};
pub use node_desk::{NodeAnswerer, answer_nodes};
pub use node_quota::{NodeQuota, NodeQuotaSettings};
pub use parts::{BootError, Database, Deciding, OpenToOthers, Parts, Readiness, Running, plain_routes};
pub use private_file::{PrivateFileError, read_private};
pub use run::{Description, run};
pub use settings::{
    Common, DatabaseSettings, GrpcAuthentication, NatsSettings, ServerSettings, SettingsError, TelemetrySettings, load,
};
pub use tasks::{BoxError, TaskFailure, Tasks};
pub use telemetry::{Telemetry, init as init_telemetry, init_to as init_telemetry_to};
pub use tls::{TlsError, TlsSettings};
