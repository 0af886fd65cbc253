//! When nodes were last heard of, in memory: a heartbeat is not worth a write of its own.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Signs of life since the last time they were written down, and those before.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Beats>);

#[derive(Debug, Default)]
struct Beats {
    latest: HashMap<String, i64>,
    unwritten: HashMap<String, i64>,
}

impl Pulse {
    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node was heard of at this time, in microseconds.
    pub(crate) fn beat(&self, node: &str, now: i64) {
        let mut beats = self.beats();
        beats.latest.insert(node.to_owned(), now);
        beats.unwritten.insert(node.to_owned(), now);
    }

    /// When it was last heard of, by what this replica heard and by what is stored.
    pub(crate) fn last(&self, node: &str, stored: i64) -> i64 {
        self.beats().latest.get(node).copied().unwrap_or(i64::MIN).max(stored)
    }

    /// Takes what has to be written down.
    pub(crate) fn take_unwritten(&self) -> Vec<(String, i64)> {
        self.beats().unwritten.drain().collect()
    }

    /// Gives back what could not be written down.
    pub(crate) fn give_back(&self, pings: Vec<(String, i64)>) {
        let mut beats = self.beats();
        for (node, at) in pings {
            let known = beats.unwritten.entry(node).or_insert(at);
            *known = at.max(*known);
        }
    }

    /// Forgets a node that was put out.
    pub(crate) fn forget(&self, node: &str) {
        let mut beats = self.beats();
        beats.latest.remove(node);
        beats.unwritten.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_is_seen_at_once_and_written_once() {
        let pulse = Pulse::default();
        pulse.beat("mi-a", 5);
        assert_eq!((pulse.last("mi-a", 3), pulse.last("mi-b", 3)), (5, 3));
        let taken = pulse.take_unwritten();
        assert_eq!(taken, [("mi-a".to_owned(), 5)]);
        assert!(pulse.take_unwritten().is_empty());
        pulse.beat("mi-a", 9);
        pulse.give_back(taken);
        assert_eq!(pulse.take_unwritten(), [("mi-a".to_owned(), 9)]);
    }
}
