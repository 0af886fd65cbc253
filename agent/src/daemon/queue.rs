//! Which runs wait, which run: first in, first out, so many at a time (agent.md B2). Pure.

use std::collections::{HashSet, VecDeque};

use crate::journal::RunId;

/// The queue and what left it.
#[derive(Debug)]
pub(crate) struct Queue {
    concurrency: usize,
    bound: usize,
    waiting: VecDeque<RunId>,
    running: HashSet<RunId>,
}

impl Queue {
    /// At most `concurrency` runs at a time, at most `bound` waiting.
    pub(crate) fn new(concurrency: u32, bound: u32) -> Self {
        Self {
            concurrency: concurrency as usize,
            bound: bound as usize,
            waiting: VecDeque::new(),
            running: HashSet::new(),
        }
    }

    /// Other limits from now on; what waits or runs already stays.
    pub(crate) fn set_limits(&mut self, concurrency: u32, bound: u32) {
        self.concurrency = concurrency as usize;
        self.bound = bound as usize;
    }

    /// Whether `more` runs on their way in would leave no room for another.
    pub(crate) fn is_full(&self, more: usize) -> bool {
        self.waiting.len() + self.running.len() + more >= self.bound + self.concurrency
    }

    /// Lets a run wait for its turn.
    pub(crate) fn push(&mut self, run: RunId) {
        self.waiting.push_back(run);
    }

    /// The next run whose turn has come; it counts as running.
    pub(crate) fn next(&mut self) -> Option<RunId> {
        if self.running.len() >= self.concurrency {
            return None;
        }
        let run = self.waiting.pop_front()?;
        self.running.insert(run);
        Some(run)
    }

    /// Starts a run whatever the limit, because it ends at once or runs already.
    pub(crate) fn start_out_of_turn(&mut self, run: RunId) {
        self.waiting.retain(|waiting| *waiting != run);
        self.running.insert(run);
    }

    /// The run is over.
    pub(crate) fn end(&mut self, run: RunId) {
        self.running.remove(&run);
    }

    /// The runs that wait, the next one first.
    pub(crate) fn waiting(&self) -> impl ExactSizeIterator<Item = RunId> {
        self.waiting.iter().copied()
    }

    /// The runs that run, in no order.
    pub(crate) fn running_ones(&self) -> impl Iterator<Item = RunId> {
        self.running.iter().copied()
    }

    /// How many run.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs<const N: usize>() -> [RunId; N] {
        std::array::from_fn(|_| RunId::random())
    }

    #[test]
    fn runs_start_in_their_order_and_no_more_than_allowed() {
        let [a, b, c] = runs();
        let mut queue = Queue::new(2, 10);
        for run in [a, b, c] {
            queue.push(run);
        }
        assert_eq!([queue.next(), queue.next(), queue.next()], [Some(a), Some(b), None]);
        queue.end(b);
        assert_eq!([queue.next(), queue.next()], [Some(c), None]);
    }

    #[test]
    fn a_cancelled_run_does_not_wait_for_its_turn() {
        let [a, b, c] = runs();
        let mut queue = Queue::new(1, 10);
        for run in [a, b, c] {
            queue.push(run);
        }
        assert_eq!(queue.next(), Some(a));
        queue.start_out_of_turn(b);
        assert_eq!((queue.running(), queue.waiting().collect::<Vec<_>>()), (2, vec![c]));
        queue.end(b);
        assert_eq!(queue.next(), None, "the first still runs");
        queue.end(a);
        assert_eq!(queue.next(), Some(c));
    }

    #[test]
    fn a_full_queue_says_so() {
        let mut queue = Queue::new(1, 2);
        for run in runs::<2>() {
            queue.push(run);
        }
        assert!(queue.next().is_some());
        assert!(!queue.is_full(0));
        assert!(queue.is_full(1), "one is being written to the journal");
        queue.push(RunId::random());
        assert!(queue.is_full(0));
    }
}
