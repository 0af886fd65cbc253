//! How much somebody may take: a bucket for each that fills up again with time. Pure: time is an argument.

use std::collections::HashMap;
use std::hash::Hash;

use crate::Timestamp;

/// How much is allowed at once, and how much is added each second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// What a full bucket holds.
    pub burst: f64,
    /// What is added each second.
    pub per_second: f64,
}

/// Buckets by key.
#[derive(Debug)]
pub struct Quota<K> {
    rate: Rate,
    most_keys: usize,
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
    /// Nobody has taken anything yet. At most so many keys are remembered; full buckets are forgotten first, which
    /// changes nothing.
    #[must_use]
    pub fn new(rate: Rate, most_keys: usize) -> Self {
        Self {
            rate,
            most_keys,
            buckets: HashMap::new(),
        }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, key: K, now: Timestamp) -> bool {
        self.take_many(key, 1.0, now)
    }

    /// Takes so many, if there is at least one. What was taken beyond is missing later, so that something larger than
    /// the bucket can pass, and is waited for afterwards.
    pub fn take_many(&mut self, key: K, amount: f64, now: Timestamp) -> bool {
        let (rate, now) = (self.rate, now.as_microsecond());
        if self.buckets.len() >= self.most_keys && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| bucket.at(rate, now).left < rate.burst);
            if self.buckets.len() >= self.most_keys {
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
            bucket.left -= amount;
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
    const MOST: usize = 100;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    #[test]
    fn a_burst_is_allowed_and_then_as_much_as_fills_up() {
        let mut quota = Quota::new(RATE, MOST);
        let taken = [0, 0, 0, 0, 999, 1_000, 1_500].map(|time| quota.take("a", at(time)));
        assert_eq!(taken, [true, true, true, false, false, true, false]);
        assert!(quota.take("b", at(1_500)), "others have their own");
    }

    #[test]
    fn what_is_larger_than_the_bucket_passes_and_is_waited_for() {
        let mut quota = Quota::new(RATE, MOST);
        assert!(quota.take_many("a", 10.0, at(0)));
        assert!(!quota.take("a", at(7_999)));
        assert!(quota.take("a", at(8_001)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut quota = Quota::new(RATE, MOST);
        for key in 0..2 * MOST {
            quota.take(key, at(0));
        }
        assert!(quota.buckets.len() <= MOST);
        assert!(!quota.take(usize::MAX, at(0)));
        assert!(quota.take(usize::MAX, at(10_000)), "full buckets make room");
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_what_filled_up(steps in prop::collection::vec(0_i64..2_000, 1..100)) {
            let (mut quota, mut now, mut taken) = (Quota::new(RATE, MOST), 0, 0);
            for step in steps {
                now += step;
                taken += i32::from(quota.take((), at(now)));
                prop_assert!(f64::from(taken) <= RATE.burst + now as f64 / 1_000.0 + 1e-6);
            }
        }
    }
}
