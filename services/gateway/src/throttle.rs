//! How many requests an access key, or an address without one, may make: a bucket of tokens for each (aws-json-gateway 8). Pure: the time is an
//! argument.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use muster_wire::{Failure, Reason, Refusal};

/// Most buckets kept; beyond, those that are full again are forgotten, and then all others.
const MOST: usize = 10_000;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Requests a second that can go on for ever.
    pub(crate) per_second: NonZeroU32,
    /// Requests that may come at once after a pause.
    pub(crate) burst: NonZeroU32,
}

/// The buckets of this process; another replica has its own.
#[derive(Debug)]
pub(crate) struct Throttle {
    limit: Limit,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

impl Throttle {
    pub(crate) fn new(limit: Limit) -> Self {
        Self {
            limit,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token for a request of `access_key`, or of an address.
    ///
    /// # Errors
    /// `ThrottlingException` if there is none.
    pub(crate) fn take(&self, access_key: &str, now: Timestamp) -> Result<(), Failure> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(access_key) {
            if buckets.len() >= MOST {
                buckets.retain(|_, bucket| self.filled(*bucket, now).tokens < self.burst());
            }
            if buckets.len() >= MOST {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(access_key.to_owned()).or_insert(Bucket {
            tokens: self.burst(),
            at: now,
        });
        *bucket = self.filled(*bucket, now);
        if bucket.tokens < 1.0 {
            return Err(Refusal::new(Reason::ThrottlingException, "Rate exceeded").into());
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Gives back a token that was taken for what turned out not to count.
    fn give_back(&self, of: &str) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(of) {
            bucket.tokens = (bucket.tokens + 1.0).min(self.burst());
        }
    }

    /// A clock that was set back fills nothing.
    fn filled(&self, bucket: Bucket, now: Timestamp) -> Bucket {
        let seconds = now.duration_since(bucket.at).as_secs_f64().max(0.0);
        let tokens = bucket.tokens + seconds * f64::from(self.limit.per_second.get());
        Bucket {
            tokens: tokens.min(self.burst()),
            at: now,
        }
    }

    fn burst(&self) -> f64 {
        f64::from(self.limit.burst.get())
    }
}

/// How often an address may come with access keys that are not known, each of which costs a question. Those that turn out
/// to be good cost it nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tries<'a> {
    pub(crate) throttle: &'a Throttle,
    pub(crate) from: &'a str,
}

impl Tries<'_> {
    /// Before it is known whether a key, or a signature, is good.
    ///
    /// # Errors
    /// `ThrottlingException` if the address has tried too often.
    pub(crate) fn count(self, now: Timestamp) -> Result<(), Failure> {
        self.throttle.take(self.from, now)
    }

    /// It was no failure of the caller's.
    pub(crate) fn uncount(self) {
        self.throttle.give_back(self.from);
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn throttle() -> Throttle {
        Throttle::new(Limit {
            per_second: NonZeroU32::new(40).unwrap(),
            burst: NonZeroU32::new(80).unwrap(),
        })
    }

    fn taken(throttle: &Throttle, key: &str, now: Timestamp) -> usize {
        (0..1_000).take_while(|_| throttle.take(key, now).is_ok()).count()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let throttle = throttle();
        assert_eq!(taken(&throttle, "A", NOW), 80);
        assert_eq!(taken(&throttle, "B", NOW), 80, "each key has its own");
        assert_eq!(taken(&throttle, "A", NOW + SignedDuration::from_millis(24)), 0);
        assert_eq!(taken(&throttle, "A", NOW + SignedDuration::from_millis(500)), 20);
        assert_eq!(taken(&throttle, "A", NOW + SignedDuration::from_secs(3600)), 80);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing() {
        let throttle = throttle();
        assert_eq!(taken(&throttle, "A", NOW), 80);
        assert_eq!(taken(&throttle, "A", NOW - SignedDuration::from_secs(60)), 0);
    }

    #[test]
    fn what_does_not_count_is_given_back() {
        let throttle = throttle();
        let tries = Tries {
            throttle: &throttle,
            from: "A",
        };
        for _ in 0..1_000 {
            tries.count(NOW).unwrap();
            tries.uncount();
        }
        tries.uncount();
        assert_eq!(taken(&throttle, "A", NOW), 80);
        assert!(tries.count(NOW).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = throttle();
        for number in 0..MOST + 5 {
            throttle.take(&number.to_string(), NOW).unwrap();
        }
        assert!(throttle.buckets.lock().unwrap().len() <= MOST);
    }

    #[test]
    fn the_text_is_aws_s() {
        let throttle = throttle();
        taken(&throttle, "A", NOW);
        match throttle.take("A", NOW) {
            Err(Failure::Refused(refusal)) => {
                assert_eq!(refusal, Refusal::new(Reason::ThrottlingException, "Rate exceeded"));
            }
            other => panic!("{other:?}"),
        }
    }
}
