//! The accounts of Muster and who may do what in them (fleet 7 to 9).
//!
//! | Account | Who is in it | What crosses its border |
//! |---|---|---|
//! | `SYS` | the server's own, and whoever changes accounts | nothing |
//! | `MUSTER` | services, each with its own subjects ([`SERVICES`]); nodes, by the template of a scoped key ([`scope`]) | gives what is below |
//! | `BOOT` | machines that register, at most 200 at once | may ask `register` |
//! | `OPS` | people and their programs | may ask operations, hears events and output |
//!
//! Messages from another account carry `Nats-Request-Info`, which the server sets and nobody can forge.

mod account;
mod inbox;
mod node;
mod people;
mod service;

pub use account::{ACCOUNTS, Account, Accounts, SigningKeys, carried_over, revoked};
pub(crate) use inbox::inbox_of;
pub use inbox::{boot_inbox, node_inbox, person_inbox, service_inbox};
pub use node::{NodeClaims, NodeError, TAG_NAME, scope};
pub use people::{BOOT_USER, NameError, boot_ticket, check_name, operator, system_user};
pub use service::{NOTIFICATIONS, SERVICES, Service, crowd};

#[cfg(test)]
mod tests;
