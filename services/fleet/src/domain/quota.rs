//! How often somebody may ask: a bucket for each key that fills up again with time. Pure: time is an argument.

use std::collections::HashMap;
use std::hash::Hash;

use muster_model::Timestamp;

/// Keys that are remembered; full buckets are forgotten first, which changes nothing.
const MOST_KEYS: usize = 10_000;

/// How much is allowed at once, and how much is added each second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) burst: f64,
    pub(crate) per_second: f64,
}

/// Buckets by key.
#[derive(Debug)]
pub(crate) struct Quota<K> {
    rate: Rate,
    buckets: HashMap<K, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    /// When, in microseconds.
    at: i64,
}

impl Bucket {
    fn at(self, rate: Rate, now: i64) -> Self {
        // A clock that is set back takes nothing away.
        let seconds = now.saturating_sub(self.at).max(0) as f64 / 1e6;
        Self {
            left: (self.left + seconds * rate.per_second).min(rate.burst),
            at: now,
        }
    }
}

impl<K: Hash + Eq> Quota<K> {
    /// Nobody has asked yet.
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: HashMap::new(),
        }
    }

    /// Whether this key may ask once more now.
    pub(crate) fn take(&mut self, key: K, now: Timestamp) -> bool {
        let (rate, now) = (self.rate, now.as_microsecond());
        if self.buckets.len() >= MOST_KEYS && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| bucket.at(rate, now).left < rate.burst);
            if self.buckets.len() >= MOST_KEYS {
                // So many different askers at once are an attack, or a fleet that may come again a little later.
                return false;
            }
        }
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            left: rate.burst,
            at: now,
        });
        *bucket = bucket.at(rate, now);
        let may = bucket.left >= 1.0;
        if may {
            bucket.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate {
        burst: 3.0,
        per_second: 1.0,
    };

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    #[test]
    fn a_burst_is_allowed_and_then_as_much_as_fills_up() {
        let mut quota = Quota::new(RATE);
        let taken = [0, 0, 0, 0, 999, 1_000, 1_500].map(|time| quota.take("a", at(time)));
        assert_eq!(taken, [true, true, true, false, false, true, false]);
        assert!(quota.take("b", at(1_500)), "others have their own");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut quota = Quota::new(RATE);
        for key in 0..2 * MOST_KEYS {
            quota.take(key, at(0));
        }
        assert!(quota.buckets.len() <= MOST_KEYS);
        assert!(!quota.take(usize::MAX, at(0)));
        assert!(quota.take(usize::MAX, at(10_000)), "full buckets make room");
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_what_filled_up(steps in prop::collection::vec(0_i64..2_000, 1..100)) {
            let (mut quota, mut now, mut taken) = (Quota::new(RATE), 0, 0);
            for step in steps {
                now += step;
                taken += i32::from(quota.take((), at(now)));
                prop_assert!(f64::from(taken) <= RATE.burst + now as f64 / 1_000.0 + 1e-6);
            }
        }
    }
}
