//! Points in time: seconds as a number, or ISO 8601 text on the way in (aws-json-gateway 3).

use std::io::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

const MICROSECONDS: i64 = 1_000_000;
/// The years that protobuf allows, 1 to 9999, in seconds.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Seconds, to the microsecond. `None` outside the years 1 to 9999.
pub(super) fn of_number(seconds: f64) -> Option<(i64, i32)> {
    let micros = (seconds * 1e6).round();
    // Comparing first keeps the conversion exact: a cast would clamp.
    if micros.is_nan() || micros.abs() >= 1e18 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 1e18 and without a fraction")]
    let micros = micros as i64;
    let nanos = i32::try_from(micros.rem_euclid(MICROSECONDS)).ok()? * 1000;
    in_range(micros.div_euclid(MICROSECONDS), nanos)
}

/// Whole seconds. `None` outside the years 1 to 9999.
pub(super) fn of_integer(seconds: i64) -> Option<(i64, i32)> {
    in_range(seconds, 0)
}

/// ISO 8601 text; without an offset it is UTC, and a date alone is its midnight.
pub(super) fn of_text(text: &str) -> Option<(i64, i32)> {
    let text = text.trim();
    let time = text.parse::<Timestamp>().or_else(|_| {
        let local = text.parse::<DateTime>()?;
        TimeZone::UTC.to_timestamp(local)
    });
    let time = time.ok()?;
    // The parts of a time before 1970 are both negative; protobuf wants the second one positive.
    let nanos = time.subsec_nanosecond();
    if nanos < 0 {
        in_range(time.as_second() - 1, nanos + 1_000_000_000)
    } else {
        in_range(time.as_second(), nanos)
    }
}

fn in_range(seconds: i64, nanos: i32) -> Option<(i64, i32)> {
    SECONDS.contains(&seconds).then_some((seconds, nanos))
}

/// The protobuf message of a point in time.
pub(super) fn message((seconds, nanos): (i64, i32), of: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    if seconds != 0 {
        message.set_field_by_number(1, Value::I64(seconds));
    }
    if nanos != 0 {
        message.set_field_by_number(2, Value::I32(nanos));
    }
    message
}

/// Writes seconds with at most three decimals; finer parts are cut off.
pub(super) fn write(out: &mut Vec<u8>, message: &DynamicMessage) {
    let part = |number| message.get_field_by_number(number);
    let seconds = part(1).and_then(|value| value.as_i64()).unwrap_or(0);
    let nanos = part(2).and_then(|value| value.as_i32()).unwrap_or(0);
    let millis = i128::from(seconds) * 1000 + i128::from(nanos.div_euclid(1_000_000));
    let sign = if millis < 0 { "-" } else { "" };
    let (whole, decimals) = (millis.abs() / 1000, millis.abs() % 1000);
    // Writing into memory does not fail.
    let _ = write!(out, "{sign}{whole}");
    if decimals != 0 {
        let decimals = format!("{decimals:03}");
        let _ = write!(out, ".{}", decimals.trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_seconds() {
        assert_eq!(of_number(1_700_000_000.123), Some((1_700_000_000, 123_000_000)));
        assert_eq!(of_number(-0.5), Some((-1, 500_000_000)));
        for bad in [f64::NAN, f64::INFINITY, 1e300, 1_700_000_000_000.0] {
            assert_eq!(of_number(bad), None, "{bad}");
        }
        assert_eq!(of_integer(i64::MAX), None);
    }

    #[test]
    fn text_is_iso_8601_and_lenient() {
        let newyear = Some((1_704_067_200, 0));
        for text in [
            "2024-01-01T00:00:00Z",
            "2024-01-01T01:00:00+01:00",
            "2024-01-01T00:00:00",
            "2024-01-01 00:00:00",
            "2024-01-01T00:00Z",
            "2024-01-01",
            "20240101T000000Z",
            " 2024-01-01T00:00:00.000Z ",
        ] {
            assert_eq!(of_text(text), newyear, "{text}");
        }
        assert_eq!(of_text("1969-12-31T23:59:59.5Z"), Some((-1, 500_000_000)));
        for text in ["", "tomorrow", "2024-13-01", "1704067200"] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }

    #[test]
    fn out_come_at_most_three_decimals() {
        let pool = muster_proto::pool();
        let of = pool.get_message_by_name("google.protobuf.Timestamp").unwrap();
        let written = |time| {
            let mut out = Vec::new();
            write(&mut out, &message(time, &of));
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written((1_700_000_000, 0)), "1700000000");
        assert_eq!(written((1_700_000_000, 120_999_999)), "1700000000.12");
        assert_eq!(written((0, 7_000_000)), "0.007");
        assert_eq!(written((-1, 500_000_000)), "-0.5");
    }
}
