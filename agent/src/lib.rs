//! The agent on a managed machine.
//!
//! Two programs in one binary:
//!
//! - the **agent** (`daemon`) keeps one outbound connection, writes work to the journal, starts a runner for each run and
//!   forwards what the runners write, until the coordinator confirms it;
//! - a **runner** (`runner`) carries one run to its end. It outlives the agent, which may be killed or upgraded meanwhile.
//!
//! They meet only on the disk: in the journal (`journal`), which both can read after any crash.
//!
//! | Module | What |
//! |---|---|
//! | `daemon` | the agent's one loop: connection, accepting work, runners, outbox |
//! | `journal` | one log per run: what was accepted, what happened, what is confirmed |
//! | `runner` | steps, scripts, output, timeouts, resume rules |
//! | `doctor`, `report` | what is wrong with an agent, and what it says about itself |
//! | `policy` | what the owner of the machine forbids |
//! | `inventory`, `package`, `docker` | what actions work on: inventory items, packages, docker's command line |
//! | `registration`, `keys`, `trial`, `machine` | becoming a node, the node's key, another key, what stays the same on the machine |
//! | `update` | replacing the agent's own program |
//! | `state`, `settings`, `facts` | the directory on disk, the configuration, what is known about the machine |
//! | `objects` | where complete outputs go and downloads may come from |
//! | `courier` | how a runner asks a service through the agent |
//! | `os` | the only `unsafe` code |
//!
//! Limits: Linux first; a work item and a reply fit one message of 1 MiB; at most 50 runs at a time.

pub mod cli;
mod courier;
pub mod daemon;
mod docker;
mod doctor;
pub mod facts;
mod inventory;
pub mod journal;
pub mod keys;
pub mod machine;
mod os;
pub mod package;
pub mod policy;
pub mod registration;
pub mod report;
pub mod runner;
pub mod settings;
pub mod state;
pub mod trial;
mod update;

pub use muster_objects as objects;
