//! When to send the news of which run, oldest run first (agent.md B6). Pure.
//!
//! The records themselves lie in the runs' logs; here is only what is due.

use std::collections::BTreeMap;
use std::time::Instant;

use super::backoff::REPLY;
use crate::journal::RunId;

/// Requests on their way at the same time.
const WIDTH: usize = 8;

/// The runs with news that nobody has confirmed.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// By age: when the run was accepted.
    letters: BTreeMap<(i64, RunId), Letter>,
}

#[derive(Debug)]
struct Letter {
    /// `None` while a request is on its way and nothing new has come.
    due: Option<Instant>,
    is_on_its_way: bool,
    failures: u32,
}

impl Outbox {
    /// There is news of a run, to be sent at `due` at the latest.
    pub(crate) fn post(&mut self, age: i64, run: RunId, due: Instant) {
        let letter = self.letters.entry((age, run)).or_insert(Letter {
            due: None,
            is_on_its_way: false,
            failures: 0,
        });
        letter.due = Some(letter.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// The oldest run whose news is due; its request counts as on its way.
    pub(crate) fn take(&mut self, now: Instant) -> Option<RunId> {
        if self.letters.values().filter(|letter| letter.is_on_its_way).count() >= WIDTH {
            return None;
        }
        let is_due = |letter: &Letter| !letter.is_on_its_way && letter.due.is_some_and(|due| due <= now);
        let ((_, run), letter) = self.letters.iter_mut().find(|(_, letter)| is_due(letter))?;
        letter.is_on_its_way = true;
        letter.due = None;
        Some(*run)
    }

    /// The request was answered; nothing more is to be sent unless something was posted meanwhile.
    pub(crate) fn delivered(&mut self, age: i64, run: RunId) {
        if let Some(letter) = self.letters.get_mut(&(age, run)) {
            letter.is_on_its_way = false;
            letter.failures = 0;
            if letter.due.is_none() {
                self.letters.remove(&(age, run));
            }
        }
    }

    /// The request was not answered, or confirmed nothing.
    pub(crate) fn failed(&mut self, age: i64, run: RunId, now: Instant, chance: f64) {
        if let Some(letter) = self.letters.get_mut(&(age, run)) {
            letter.is_on_its_way = false;
            letter.failures += 1;
            letter.due = Some(now + REPLY.wait(letter.failures, chance));
        }
    }

    /// There is nothing to tell about a run any more.
    pub(crate) fn withdraw(&mut self, age: i64, run: RunId) {
        self.letters.remove(&(age, run));
    }

    /// A new connection: what was on its way may be lost, and everything is due at once.
    pub(crate) fn restart(&mut self, now: Instant) {
        for letter in self.letters.values_mut() {
            *letter = Letter {
                due: Some(now),
                is_on_its_way: false,
                failures: 0,
            };
        }
    }

    /// When `take` will have something, unless the width is used up.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.letters
            .values()
            .filter(|letter| !letter.is_on_its_way)
            .filter_map(|letter| letter.due)
            .min()
    }

    /// How many runs have news that nobody has confirmed.
    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Whether as many requests are on their way as may be.
    pub(crate) fn is_busy(&self) -> bool {
        self.letters.values().filter(|letter| letter.is_on_its_way).count() >= WIDTH
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_run_is_served_first() {
        let now = Instant::now();
        let (old, new) = (RunId::random(), RunId::random());
        let mut outbox = Outbox::default();
        outbox.post(2, new, now);
        outbox.post(1, old, now);
        assert_eq!(
            [outbox.take(now), outbox.take(now), outbox.take(now)],
            [Some(old), Some(new), None]
        );
    }

    #[test]
    fn news_that_comes_during_a_request_is_sent_after_it() {
        let now = Instant::now();
        let run = RunId::random();
        let mut outbox = Outbox::default();
        outbox.post(1, run, now);
        assert_eq!(outbox.take(now), Some(run));
        outbox.post(1, run, now);
        assert_eq!(outbox.take(now), None);
        outbox.delivered(1, run);
        assert_eq!(outbox.take(now), Some(run));
        outbox.delivered(1, run);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_not_confirmed_is_kept_and_comes_at_once_after_a_reconnect() {
        let now = Instant::now();
        let run = RunId::random();
        let mut outbox = Outbox::default();
        outbox.post(1, run, now);
        for _ in 0..20 {
            let due = outbox.due().unwrap();
            assert_eq!(outbox.take(due), Some(run));
            outbox.failed(1, run, due, 1.0);
        }
        assert_eq!(outbox.take(now + Duration::from_millis(100)), None);
        outbox.restart(now);
        assert_eq!(outbox.take(now), Some(run));
    }

    #[test]
    fn only_so_many_requests_are_on_their_way() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        for age in 0..20 {
            outbox.post(age, RunId::random(), now);
        }
        assert_eq!(std::iter::from_fn(|| outbox.take(now)).count(), WIDTH);
        assert!(outbox.is_busy());
    }
}
