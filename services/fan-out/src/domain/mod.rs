//! The coordinator's heart: who gets which work when (schedules-and-rate-control 7, run-command 4 to 7).
//!
//! A [`Rollout`] is one piece of work for an ordered list of nodes.
//! [`step`] applies one [`Event`] to it and says what follows as [`Effects`].
//! It asks nothing of the world: the same events at the same times always give the same rollout, so that a replay,
//! a test and a second replica that takes over are all the same code.
//!
//! | file | holds |
//! |---|---|
//! | `target` | one node's part: its phase, what was sent, what the store keeps of it |
//! | `rollout` | the whole: limits, targets, counters and queues that follow from them |
//! | `event` | what can happen, and what can follow |
//! | `step` | the rules |
//! | `history`, `verify` | what happened, and whether it obeys the laws |
//! | `laws` | what must always hold, as predicates for tests and debug assertions |
//!
//! Limits: an event costs `O(log n)` for `n` targets, except those that concern every target at once
//! (start, cancel of all, too many errors, deadline); each of these happens once, or once per take-over.

mod event;
pub mod history;
pub mod laws;
mod rollout;
mod step;
mod target;
pub mod verify;

#[cfg(test)]
mod tests;

pub use event::{Effect, Effects, Event, Note, Recipients, Report, TargetState};
pub use rollout::{Plan, Planned, Rollout, Saved};
pub use step::{ACK_INTERVAL, step};
pub use target::{Phase, Progress, Target};
