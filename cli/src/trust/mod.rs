//! The folder that holds who may do what on the bus: keys, credentials, certificates, the server's configuration.
//!
//! `muster init` makes it, `muster up` has one in its data directory, and `muster nats` works on it.
//!
//! ```text
//! trust.json            what was chosen; "complete" once everything is there
//! keys/                 seeds: operator, SYS, MUSTER, BOOT, OPS, services and nodes (the scoped key)
//! creds/<user>.creds    one for each service, for the first operator, and `system` for whoever changes accounts
//! creds/boot.ticket     with what a machine may ask to be registered; no secret
//! work/                 keys.json and V….seed: the keys that sign work, for fan-out alone
//! answers/<service>.key the key that the service signs answers to nodes with, and who vouches for it
//! accounts/             MUSTER, BOOT and OPS for another operator to sign, where `muster nats accounts` was asked for them
//! nodes.account         the account that nodes belong to, for fleet; no secret
//! tls/                  ca.pem, ca.key, server.pem, server.key
//! nats.conf             the server's configuration; made once, yours afterwards
//! nats/                 accounts that were pushed, and JetStream
//! ```
//!
//! Every file is written beside its place, synced and renamed, so a start that was interrupted is taken up where it
//! ended. A key that is there is never replaced.

mod certificate;
mod folder;
mod keys;
mod work;

pub(crate) use certificate::{issue, renew};
pub(crate) use folder::{TrustError, TrustFolder, write_private};
pub(crate) use keys::{Chosen, Keys, NEXT, NODES, Retiring, Revoked, load};
pub(crate) use work::{begin_work_keys, refresh_answer_keys, rotate_work_keys};

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    use muster_model::Clock as _;
    muster_model::SystemClock.now().as_second()
}

/// How long the claims of a node live unless somebody says otherwise, in seconds (fleet 9).
pub(crate) const NODE_LIFE: i64 = 24 * 60 * 60;
/// The longest that claims of nodes may live, in seconds: for so long a revocation and an old key still matter.
pub(crate) const LONGEST_LIFE: i64 = 7 * 24 * 60 * 60;

/// What the first operator is called unless somebody says otherwise.
pub(crate) const OPERATOR: &str = "operator";
