//! Whether a node has been heard of lately (fleet 4). Computed when somebody asks; nothing is kept that could be stale.

use muster_model::Timestamp;
use muster_proto::fleet::v1::PingStatus;

const SECOND: i64 = 1_000_000;

/// The latest time that is too long ago, in microseconds: who was heard of after it is online.
pub(crate) fn cutoff(now: Timestamp, connection_lost_seconds: u32) -> i64 {
    now.as_microsecond()
        .saturating_sub(i64::from(connection_lost_seconds) * SECOND)
}

/// The status of a node that was last heard of at `last_ping`, in microseconds; 0 is never.
pub(crate) fn status(last_ping: i64, cutoff: i64) -> PingStatus {
    match last_ping > cutoff && last_ping > 0 {
        true => PingStatus::Online,
        false => PingStatus::ConnectionLost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_minutes_of_silence_are_a_lost_connection() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let check = |last: i64, now: i64, expected| {
            assert_eq!(status(last * SECOND, cutoff(at(now), 180)), expected, "{last} at {now}");
        };
        check(1_000, 1_000, PingStatus::Online);
        check(1_000, 1_179, PingStatus::Online);
        check(1_000, 1_180, PingStatus::ConnectionLost);
        // A clock that was set back does not make a node old.
        check(1_000, 500, PingStatus::Online);
        // Never heard of, even in the first minutes of 1970.
        check(0, 100, PingStatus::ConnectionLost);
    }
}
