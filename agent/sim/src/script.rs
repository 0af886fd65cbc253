//! What a simulated node does with a work item.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::agent::v1::WorkItem;

/// What a node does with a work item at its door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Journals it.
    Accept,
    /// Takes no notice, as if the message were lost.
    Ignore,
    /// Says so many times that its queue is full, and to come again after so many milliseconds; then accepts.
    Busy(u32, u64),
    /// Refuses it for good.
    Refuse,
}

/// How a run comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its steps exit.
    Exit,
    /// Its last step takes longer than it may.
    TimeOut,
    /// Never, unless it is cancelled.
    Never,
}

/// What becomes of one work item on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What happens before anything runs.
    pub door: Door,
    /// How long the run takes.
    pub delay: Duration,
    /// How it ends.
    pub end: End,
    /// Exit code of its last step; the run fails unless it is 0.
    pub code: i32,
    /// What each step writes.
    pub stdout: String,
    /// Say that the item is in the journal.
    pub acknowledges: bool,
    /// Report the result.
    pub reports: bool,
    /// Report everything twice.
    pub repeats: bool,
}

impl Outcome {
    /// Success at once, without output.
    pub const NOTHING: Self = Self {
        door: Door::Accept,
        delay: Duration::ZERO,
        end: End::Exit,
        code: 0,
        stdout: String::new(),
        acknowledges: true,
        reports: true,
        repeats: false,
    };

    /// Success after a while.
    #[must_use]
    pub fn success_after(delay: Duration) -> Self {
        Self { delay, ..Self::NOTHING }
    }

    /// Failure at once with this exit code.
    #[must_use]
    pub fn failure(code: i32) -> Self {
        Self { code, ..Self::NOTHING }
    }
}

type Decide = dyn Fn(usize, &WorkItem) -> Outcome + Send + Sync;

/// Decides what becomes of work items, by the node's number in the fleet.
#[derive(Clone)]
pub struct Script(Arc<Decide>);

impl Script {
    /// A script from a function of the node's number and the work item.
    pub fn new(decide: impl Fn(usize, &WorkItem) -> Outcome + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    /// The same outcome for everybody.
    #[must_use]
    pub fn always(outcome: Outcome) -> Self {
        Self::new(move |_, _| outcome.clone())
    }

    pub(crate) fn decide(&self, node: usize, item: &WorkItem) -> Outcome {
        (self.0)(node, item)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}
