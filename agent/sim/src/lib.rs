//! Thousands of agents in one process that speak the agent's protocol, for tests and benchmarks.
//!
//! A simulated node registers, says hello, asks for work, keeps a journal (in memory), acknowledges, executes a
//! [`Script`] instead of a document, and reports until the coordinator has confirmed.
//! It recognises repeats, obeys cancels, and can go away and come back.
//! What it does not do: run anything, or survive its process.
//!
//! [`Fleet`] counts executions, so that a test can say that nothing ran twice.

mod fleet;
mod node;
mod script;

pub use fleet::{Fleet, FleetSettings};
pub use node::Execution;
pub use script::{Outcome, Script};
