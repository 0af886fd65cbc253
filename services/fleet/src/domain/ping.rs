//! Whether a node has been heard of lately (fleet 4). Computed when somebody asks, so nothing has to watch for silence.

use muster_proto::fleet::v1::PingStatus;

const SECOND: i64 = 1_000_000;

/// The status of a node that was last heard of at `last_ping`; both times in microseconds.
pub(crate) fn status(last_ping: i64, now: i64, connection_lost_seconds: u32) -> PingStatus {
    let silence = now.saturating_sub(last_ping);
    match silence < i64::from(connection_lost_seconds).saturating_mul(SECOND) {
        true => PingStatus::Online,
        false => PingStatus::ConnectionLost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_minutes_of_silence_are_a_lost_connection() {
        assert_eq!(status(0, 180 * SECOND - 1, 180), PingStatus::Online);
        assert_eq!(status(0, 180 * SECOND, 180), PingStatus::ConnectionLost);
        // A clock that was set back does not make a node old.
        assert_eq!(status(500 * SECOND, 0, 180), PingStatus::Online);
    }
}
