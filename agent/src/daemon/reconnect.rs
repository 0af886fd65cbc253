//! When to try to connect again (agent.md B7). Pure: chance and the time are arguments.
//!
//! Waits double from half a second to half a minute, with full jitter, and begin anew when there was a connection or
//! when the network has changed: what failed before says nothing about the network that is there now.

use std::time::{Duration, Instant};

use super::backoff::CONNECTION;

/// How often somebody asks who was refused for good: credentials and registrations come back.
pub(crate) const REFUSED: Duration = Duration::from_secs(5 * 60);
/// A network that changes without end, such as that of a machine full of containers, begins the waits anew only so
/// often: what was begun within this has not grown beyond twice as much.
const SETTLED: Duration = Duration::from_secs(5);

/// What is known about the attempts since there was a connection, or another network.
#[derive(Debug, Default)]
pub(crate) struct Reconnect {
    /// Attempts of all times: whose turn it is, where there are several servers.
    turn: u32,
    attempts: u32,
    was_connected: bool,
    is_refused: bool,
    changed: Option<Instant>,
}

/// How long to wait before an attempt, and what to say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) turn: u32,
    pub(crate) attempt: u32,
    pub(crate) duration: Duration,
    pub(crate) is_refused: bool,
}

impl Reconnect {
    /// Nothing was tried yet; the first turn is that of server number `turn`.
    pub(crate) fn starting_at(turn: u32) -> Self {
        Self {
            turn,
            ..Self::default()
        }
    }

    /// There is to be another attempt.
    pub(crate) fn next(&mut self, chance: f64) -> Wait {
        self.attempts = self.attempts.saturating_add(1);
        self.turn = self.turn.wrapping_add(1);
        let duration = match self.attempts {
            // The very first attempt is not a reconnect: nobody else lost this server at the same moment.
            1 if !self.was_connected && self.changed.is_none() => Duration::ZERO,
            _ if self.is_refused => REFUSED.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0)),
            attempts => CONNECTION.wait(attempts, chance),
        };
        Wait {
            turn: self.turn,
            attempt: self.attempts,
            duration,
            is_refused: self.is_refused,
        }
    }

    /// The network has changed while an attempt is waited for: the wait that takes the place of the rest of that one.
    /// `None`: it goes on, because it was shortened a moment ago, or because not the network is what refuses us.
    pub(crate) fn network_changed(&mut self, now: Instant, chance: f64) -> Option<Wait> {
        let is_settled = self.changed.is_none_or(|changed| now >= changed + SETTLED);
        if self.is_refused || !is_settled {
            return None;
        }
        self.changed = Some(now);
        self.attempts = 0;
        Some(self.next(chance))
    }

    /// There is a connection.
    pub(crate) fn connected(&mut self) {
        (self.attempts, self.was_connected, self.is_refused) = (0, true, false);
    }

    /// An attempt failed; whether because the server does not take who we say we are.
    pub(crate) fn failed(&mut self, is_refused: bool) {
        self.is_refused = is_refused;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(attempts: u32) -> Reconnect {
        let mut reconnect = Reconnect::default();
        for _ in 0..attempts {
            reconnect.next(1.0);
            reconnect.failed(false);
        }
        reconnect
    }

    #[test]
    fn a_network_that_changes_begins_the_waits_anew() {
        let mut reconnect = after(20);
        assert_eq!(reconnect.next(1.0).duration, Duration::from_secs(30));
        let now = Instant::now();
        let wait = reconnect.network_changed(now, 1.0).unwrap();
        assert_eq!((wait.attempt, wait.duration), (1, Duration::from_millis(500)));
        assert_eq!(reconnect.next(1.0).duration, Duration::from_secs(1));

        // Without end, it does not make us try without end.
        assert_eq!(reconnect.network_changed(now + SETTLED / 2, 1.0), None);
        assert!(reconnect.network_changed(now + SETTLED, 1.0).is_some());
    }

    #[test]
    fn who_is_refused_waits_five_minutes_whatever_the_network_does() {
        let mut reconnect = after(1);
        reconnect.failed(true);
        let wait = reconnect.next(0.5);
        assert!(wait.is_refused && wait.duration == REFUSED, "{wait:?}");
        assert_eq!(reconnect.network_changed(Instant::now(), 1.0), None);
        reconnect.failed(false);
        assert!(reconnect.next(1.0).duration <= Duration::from_secs(30));
    }

    #[test]
    fn only_the_first_attempt_of_all_does_not_wait() {
        let mut reconnect = Reconnect::default();
        assert_eq!(reconnect.next(1.0).duration, Duration::ZERO);
        reconnect.connected();
        let wait = reconnect.next(1.0);
        assert_eq!((wait.attempt, wait.duration), (1, Duration::from_millis(500)));
    }

    proptest! {
        /// However often the network changes and however long it was away, the next attempt is near.
        #[test]
        fn an_attempt_is_never_far_away(
            failures in 0..40u32,
            gaps in proptest::collection::vec(0..60_000u64, 1..40),
            chance in 0.0..1.0f64,
        ) {
            let mut reconnect = after(failures);
            let mut now = Instant::now();
            let mut due = now + reconnect.next(chance).duration;
            for gap in gaps {
                now += Duration::from_millis(gap);
                while due <= now {
                    let wait = reconnect.next(chance).duration;
                    prop_assert!(wait <= Duration::from_secs(60));
                    due += wait.max(Duration::from_millis(1));
                }
                if let Some(wait) = reconnect.network_changed(now, chance) {
                    due = now + wait.duration;
                }
                prop_assert!(due <= now + 2 * SETTLED, "{:?} after a change", due - now);
            }
        }
    }
}
