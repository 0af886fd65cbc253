//! When a node is to take another key (fleet 9).

/// How long a key that was offered is good before the node has connected with it, in microseconds: a day.
pub(crate) const OFFER: i64 = 24 * 60 * 60 * 1_000_000;

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// The latest moment, in microseconds, at which a key was made that is too old now. `days` is how long a node keeps a
/// key; 0: for ever.
pub(crate) fn cutoff(now: i64, days: u32) -> i64 {
    match days {
        0 => i64::MIN,
        days => now.saturating_sub(i64::from(days).saturating_mul(DAY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_grow_old_after_so_many_days_or_never() {
        assert_eq!(cutoff(31 * DAY, 30), DAY);
        assert_eq!(cutoff(DAY, 0), i64::MIN);
    }
}
