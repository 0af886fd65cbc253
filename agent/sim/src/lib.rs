//! Thousands of agents in one process.
//!
//! To the services they are agents: each registers, says hello, pulls, listens to its own subjects and to its tags'
//! doorbells, keeps a journal against repetitions, acknowledges, replies, and repeats a reply until it is confirmed.
//! What they do not do is run anything: a [`Script`] says how long a run takes and how it ends.
//!
//! Many agents share a connection (`crowd`), because the broker's cost per connection is not what tests are about.
//! Nothing is on disk: the journal lasts as long as the process, and an agent that is offline keeps its own.
//!
//! | Module | What |
//! |---|---|
//! | `fleet` | starting and steering all of them |
//! | `crowd` | the agents of one connection: messages, requests, timers |
//! | `node` | one agent's protocol, without IO |
//! | `calls` | the requests of an agent |
//! | `script` | what becomes of a work item |
//! | `tally` | what happened, for assertions |

mod calls;
mod crowd;
mod fleet;
mod node;
mod script;
mod steps;
mod tally;

pub use fleet::{Fleet, FleetSettings, StartError};
pub use script::{Door, End, Outcome, Script};
pub use tally::{Execution, RunTally};

/// A run's name: the coordinator's rollout.
pub type RunId = muster_model::RolloutId;
