//! What a simulated run does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::agent::v1::WorkItem;

/// What an agent does with a work item at its door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Door {
    /// Journals it and acknowledges.
    #[default]
    Accept,
    /// Journals it, but the acknowledgement is lost; a repetition is acknowledged.
    LoseFirstAck,
    /// Neither acknowledges nor runs it, as if the message were lost.
    Ignore,
    /// Says so many times that its queue is full, and to come again after so many milliseconds.
    Busy(u32, u64),
    /// Refuses it for good.
    Refuse,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// All steps succeed.
    #[default]
    Success,
    /// The last step fails with this exit code.
    Fail(i32),
    /// The last step takes longer than it may.
    TimeOut,
    /// Never, unless it is cancelled.
    Never,
}

/// What one run does on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// At the door.
    pub door: Door,
    /// From the acknowledgement to the end.
    pub delay: Duration,
    /// At the end.
    pub end: End,
    /// What the steps write to standard output.
    pub stdout: String,
    /// How often each reply is sent, for testing that repetitions change nothing; at least once.
    pub copies: u32,
}

impl Default for Behaviour {
    /// Succeeds at once.
    fn default() -> Self {
        Self {
            door: Door::Accept,
            delay: Duration::ZERO,
            end: End::Success,
            stdout: String::new(),
            copies: 1,
        }
    }
}

impl Behaviour {
    /// Succeeds after a while.
    #[must_use]
    pub fn success_after(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }

    /// Fails with exit code 1 after a while.
    #[must_use]
    pub fn failure_after(delay: Duration) -> Self {
        Self {
            delay,
            end: End::Fail(1),
            ..Self::default()
        }
    }
}

/// Decides what a run does: from the node's number in the fleet (from 0) and the work item.
#[derive(Clone)]
pub struct Script(Arc<Decide>);

type Decide = dyn Fn(usize, &WorkItem) -> Behaviour + Send + Sync;

impl Script {
    /// A script from a function.
    #[must_use]
    pub fn new(decide: impl Fn(usize, &WorkItem) -> Behaviour + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    /// The same behaviour for every node and run.
    #[must_use]
    pub fn always(behaviour: Behaviour) -> Self {
        Self::new(move |_, _| behaviour.clone())
    }

    pub(crate) fn decide(&self, number: usize, work: &WorkItem) -> Behaviour {
        (self.0)(number, work)
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::always(Behaviour::default())
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}
