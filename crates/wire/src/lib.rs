//! Bytes in and out: how a call travels, over NATS and over gRPC, and how it fails.
//!
//! One tonic implementation of a service answers on every surface:
//!
//! - [`Mount`] serves it on gRPC (with reflection and health) and as NATS micro endpoints.
//! - [`Port`] is where gRPC and HTTP come in, in clear or with TLS.
//! - [`NatsChannel`] lets the generated clients call it over NATS.
//! - [`aws_json`] turns its messages into AWS JSON 1.1 and back, by reflection.
//! - [`limits`] checks every request against the limits that the contract states.
//! - [`Failure`] is the only place where an error becomes a gRPC status, and back.
//! - [`About`] is what a request is about, and an [`Authorizer`] says whether its caller may do that.
//! - [`Caller`] is who calls; each surface puts it into the extensions of a request.
//! - [`subject`] knows every subject on the bus.
//!
//! This crate names no service and no operation.

mod about;
mod authorize;
pub mod aws_json;
mod brief;
mod caller;
mod check;
mod client_token;
mod failure;
mod form;
mod frame;
mod grpc_caller;
mod in_clear;
pub mod limits;
mod mount;
mod nats_caller;
mod nats_channel;
mod observe;
mod port;
mod reply;
mod serve;
mod services_only;
mod shape;
pub mod subject;
pub mod trace;

pub use about::{About, Resource};
pub use authorize::{Admitted, Asked, Authorizer, Conclude, OK, Surface};
pub use caller::{BadPrincipal, Caller, CallerKind, Principal, SessionBounds, user_agent};
pub use check::{CheckLayer, CheckService};
pub use client_token::ClientToken;
pub use failure::{Failure, Refusal};
pub use grpc_caller::{Bearer, Bearers, GrpcCallers, Holder};
pub use in_clear::{in_clear, is_loopback, stay_encrypted};
pub use mount::{Mount, MountError, Mounted};
pub use nats_channel::{CallOptions, NatsChannel, NatsStatus};
pub use observe::{CallMetrics, ObserveLayer, ObserveService};
pub use port::{Peer, Port, Stream};
pub use reply::reply_of;
pub use serve::serve;

/// The contract's error words, spelled as AWS spells them.
pub use muster_proto::aws::v1::Reason;
