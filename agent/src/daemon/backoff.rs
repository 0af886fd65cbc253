//! How long to wait before trying again. Pure: chance is an argument.

use std::time::Duration;

/// A wait that doubles from `first` to `longest`, with full jitter: anything between nothing and that.
/// Full jitter spreads a fleet that lost its server at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
}

/// For the connection, and for services that do not answer (agent.md B7).
pub(crate) const CONNECTION: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// For news that nobody takes: a service that comes back must not be kept waiting for what it missed.
pub(crate) const REPLY: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
/// For a runner that cannot be started or dies without a result.
pub(crate) const RUNNER: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
/// For outputs that the object store does not take.
pub(crate) const UPLOADS: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(900));

impl Backoff {
    const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The wait after the failure number `failures` (from 1); `chance` is between 0 and 1.
    pub(crate) fn wait(self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let bound = self.first.saturating_mul(1 << doublings).min(self.longest);
        bound.mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_longest() {
        let bounds = [1, 2, 3, 6, 7, 8, 1_000].map(|failures| CONNECTION.wait(failures, 1.0).as_millis());
        assert_eq!(bounds, [500, 1_000, 2_000, 16_000, 30_000, 30_000, 30_000]);
    }

    /// D16: however long a server was away, it is found within a minute of its return, attempt included.
    #[test]
    fn a_server_that_was_away_for_two_hours_is_found_within_a_minute() {
        const ATTEMPT: Duration = Duration::from_secs(5);
        let back = Duration::from_secs(2 * 60 * 60);
        let (mut now, mut attempts) = (Duration::ZERO, 0);
        while now < back {
            attempts += 1;
            now += ATTEMPT + CONNECTION.wait(attempts, 1.0);
        }
        assert!(now - back <= Duration::from_secs(60), "{:?}", now - back);
        assert!(attempts > 200, "it never stops trying: {attempts}");
    }

    #[test]
    fn chance_takes_a_share_of_it() {
        assert_eq!(CONNECTION.wait(1, 0.0), Duration::ZERO);
        assert_eq!(CONNECTION.wait(2, 0.5), Duration::from_millis(500));
    }
}
