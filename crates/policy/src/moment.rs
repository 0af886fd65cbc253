//! Points in time as policies write them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// ISO 8601 with `Z` or an offset, a date alone (its midnight in UTC), or whole seconds since 1970.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        // Shorter numbers are dates without hyphens, or mistakes.
        if text.len() < 9 {
            return None;
        }
        return Timestamp::from_second(seconds).ok();
    }
    match text.len() {
        10 => TimeZone::UTC
            .to_timestamp(text.parse::<Date>().ok()?.at(0, 0, 0, 0))
            .ok(),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_each_form_and_nothing_else() {
        let noon = "2026-01-31T12:00:00Z".parse::<Timestamp>().ok();
        assert_eq!(parse("2026-01-31T12:00:00Z"), noon);
        assert_eq!(parse("2026-01-31T13:00:00+01:00"), noon);
        assert_eq!(parse("1769860800"), noon);
        assert_eq!(parse("2026-01-31"), "2026-01-31T00:00:00Z".parse().ok());
        for bad in ["", "20260131", "2026-01-31T12:00:00", "2026-02-31", "tomorrow", "1e9"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
