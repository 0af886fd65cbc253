//! What a simulated node does with a work item.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::agent::v1::WorkItem;

/// What becomes of one work item on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How long the run takes.
    pub delay: Duration,
    /// Exit code of its only step; the run fails unless it is 0.
    pub code: i32,
    /// What the step writes.
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
        delay: Duration::ZERO,
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
