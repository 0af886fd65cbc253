//! A request that is repeated until it is answered, and again when there is reason to. Pure.

use std::time::{Duration, Instant};

use super::backoff::Backoff;

/// When to ask next. At most one request of a kind is on its way.
#[derive(Debug)]
pub(crate) struct Errand {
    backoff: Backoff,
    due: Option<Instant>,
    is_on_its_way: bool,
    failures: u32,
}

impl Errand {
    /// Nothing to ask yet.
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            due: None,
            is_on_its_way: false,
            failures: 0,
        }
    }

    /// Asks at `moment` at the latest.
    pub(crate) fn wish(&mut self, moment: Instant) {
        self.due = Some(self.due.map_or(moment, |due| due.min(moment)));
    }

    /// A new connection: what was on its way is lost, and patience starts anew.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.is_on_its_way = false;
        self.failures = 0;
        self.due = Some(now);
    }

    /// Whether to ask now; if so it counts as asked.
    pub(crate) fn start(&mut self, now: Instant) -> bool {
        let is_due = !self.is_on_its_way && self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
            self.is_on_its_way = true;
        }
        is_due
    }

    /// It was answered; asks again after `pause`, if there is one.
    pub(crate) fn answered(&mut self, now: Instant, pause: Option<Duration>) {
        self.is_on_its_way = false;
        self.failures = 0;
        if let Some(pause) = pause {
            self.wish(now + pause);
        }
    }

    /// It was not answered; asks again later.
    pub(crate) fn failed(&mut self, now: Instant, chance: f64) {
        self.is_on_its_way = false;
        self.failures += 1;
        // A wish that came meanwhile waits too: the service is the same.
        self.due = Some(now + self.backoff.wait(self.failures, chance));
    }

    /// It was answered with a no that will not change soon; a wish still asks earlier.
    pub(crate) fn refused(&mut self, now: Instant, pause: Duration) {
        self.is_on_its_way = false;
        self.failures = 0;
        self.wish(now + pause);
    }

    /// When `start` will say yes.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_on_its_way)
    }
}

#[cfg(test)]
mod tests {
    use super::super::backoff::CONNECTION;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_errand_is_repeated_until_it_is_answered() {
        let now = Instant::now();
        let mut errand = Errand::new(CONNECTION);
        assert!(!errand.start(now));
        errand.wish(now);
        assert!(errand.start(now));
        assert!(!errand.start(now + 9 * SECOND), "one at a time");

        errand.failed(now, 1.0);
        assert!(!errand.start(now));
        assert!(errand.start(now + SECOND));
        errand.answered(now, None);
        assert_eq!(errand.due(), None);
    }

    #[test]
    fn a_wish_during_the_request_asks_once_more() {
        let now = Instant::now();
        let mut errand = Errand::new(CONNECTION);
        errand.wish(now);
        assert!(errand.start(now));
        errand.wish(now);
        assert_eq!(errand.due(), None);
        errand.answered(now, Some(60 * SECOND));
        assert!(errand.start(now));
    }

    #[test]
    fn a_new_connection_forgets_the_old_patience() {
        let now = Instant::now();
        let mut errand = Errand::new(CONNECTION);
        errand.wish(now);
        assert!(errand.start(now));
        for _ in 0..9 {
            errand.failed(now, 1.0);
        }
        errand.restart(now);
        assert!(errand.start(now));
    }
}
