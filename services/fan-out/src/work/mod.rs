//! What goes on beside the calls.
//!
//! ```text
//! bus ─ listener ─┐                        ┌─ store (one transaction a batch)
//! calls ─ api ────┼─ inputs ─ coordinator ─┼─ delivery (work, cancels, answers) ─ bus
//! owners ─ teller ┘        (domain::step)  └─ teller (news, one task an owner) ─ owners
//! ```
//!
//! One task, the coordinator, takes all that has come in, applies it to the rollouts in memory, writes everything in
//! one transaction, and only then carries out what follows. Under load the batches grow by themselves.
//! Whatever goes wrong with a batch, its rollouts are forgotten and loaded again: recovery is the same code as a start.

mod batch;
mod coordinator;
mod delivery;
mod diary;
mod finish;
mod held;
mod input;
mod listener;
mod metrics;
mod peers;
mod seal;
mod spans;
pub(crate) mod sweeper;
mod teller;
mod tenure;

pub(crate) use coordinator::Coordinator;
pub(crate) use delivery::Delivery;
pub(crate) use input::{Answer, Input, Inputs};
pub(crate) use listener::Listener;
pub(crate) use metrics::Metrics;
pub(crate) use peers::Peers;
pub(crate) use seal::Seal;
