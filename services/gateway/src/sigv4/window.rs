//! How old a request may be: five minutes, in either direction.

use jiff::fmt::strtime;
use jiff::{SignedDuration, Timestamp, civil, tz};

use super::Refused;

/// How far the clocks of a caller and of the gateway may differ.
const WINDOW: SignedDuration = SignedDuration::from_secs(300);
/// The form of `X-Amz-Date`, ISO 8601's basic one.
const BASIC: &str = "%Y%m%dT%H%M%SZ";

/// The moment at which a request says it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signed(Timestamp);

impl Signed {
    /// Reads an `X-Amz-Date`, or a `Date`, which may also have HTTP's own form.
    pub(super) fn read(text: &str, is_http_date: bool) -> Result<Self, Refused> {
        let basic = basic(text);
        let read = if is_http_date {
            basic.or_else(|| {
                let format = "%a, %d %b %Y %H:%M:%S GMT";
                civil::DateTime::strptime(format, text).ok().and_then(in_utc)
            })
        } else {
            basic
        };
        read.map(Self).ok_or_else(|| {
            Refused::incomplete("Date must be in ISO-8601 'basic format', e.g. 20260101T000000Z, in 'X-Amz-Date'.")
        })
    }

    /// As the signed text has it.
    pub(super) fn text(self) -> String {
        text(self.0)
    }

    /// The day, as scopes have it.
    pub(super) fn day(self) -> String {
        self.text().chars().take(8).collect()
    }

    /// Whether it is near enough to `now`.
    pub(super) fn check(self, now: Timestamp) -> Result<(), Refused> {
        // Both lie between the years 0 and 9999, so that neither sum leaves what can be told.
        let earliest = now.saturating_sub(WINDOW).unwrap_or(now);
        let latest = now.saturating_add(WINDOW).unwrap_or(now);
        if self.0 < earliest {
            Err(Refused::Invalid(format!(
                "Signature expired: {} is now earlier than {} ({} - 5 min.)",
                self.text(),
                text(earliest),
                text(now)
            )))
        } else if self.0 > latest {
            Err(Refused::Invalid(format!(
                "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                self.text(),
                text(latest),
                text(now)
            )))
        } else {
            Ok(())
        }
    }
}

fn text(at: Timestamp) -> String {
    // The format has no part that could fail.
    strtime::format(BASIC, at).unwrap_or_default()
}

/// `20260101T000000Z` and nothing else: sixteen characters, all of them digits but two.
fn basic(text: &str) -> Option<Timestamp> {
    let digits = |range: std::ops::Range<usize>| {
        let part = text.get(range)?;
        part.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| part.parse::<i16>().ok())?
    };
    if text.len() != 16 || text.get(8..9) != Some("T") || text.get(15..16) != Some("Z") {
        return None;
    }
    let small = |range| i8::try_from(digits(range)?).ok();
    let (month, day) = (small(4..6)?, small(6..8)?);
    let (hour, minute, second) = (small(9..11)?, small(11..13)?, small(13..15)?);
    let at = civil::DateTime::new(digits(0..4)?, month, day, hour, minute, second, 0).ok()?;
    in_utc(at)
}

fn in_utc(at: civil::DateTime) -> Option<Timestamp> {
    tz::TimeZone::UTC.to_timestamp(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "20260101T120000Z";

    fn signed(text: &str) -> Signed {
        Signed::read(text, false).unwrap()
    }

    #[test]
    fn dates_are_read_and_written() {
        assert_eq!(signed(NOON).text(), NOON);
        assert_eq!(signed(NOON).day(), "20260101");
        assert_eq!(signed("20240229T235959Z").day(), "20240229");
        assert_eq!(Signed::read("Thu, 01 Jan 2026 12:00:00 GMT", true), Ok(signed(NOON)));
        assert_eq!(Signed::read(NOON, true), Ok(signed(NOON)));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for bad in [
            "",
            "20260101",
            "2026-01-01T12:00:00Z",
            "20260101T120000",
            "20260101t120000Z",
            "20260230T120000Z",
            "20260101T240000Z",
            "+0260101T120000Z",
            "20260101T12000éZ",
            "Thu, 01 Jan 2026 12:00:00 GMT",
        ] {
            let refused = Signed::read(bad, false).unwrap_err();
            assert!(matches!(refused, Refused::Incomplete(_)), "{bad}");
        }
        assert!(
            Signed::read("Mon, 01 Jan 2026 12:00:00 GMT", true).is_err(),
            "it was a Thursday"
        );
    }

    #[test]
    fn five_minutes_are_allowed_and_no_second_more() {
        let at = signed(NOON);
        let check = |seconds| at.check(at.0 + SignedDuration::from_secs(seconds));
        for near in [-300, -299, 0, 299, 300] {
            assert_eq!(check(near), Ok(()), "{near}");
        }
        assert_eq!(
            check(301),
            Err(Refused::invalid(
                "Signature expired: 20260101T120000Z is now earlier than 20260101T120001Z (20260101T120501Z - 5 min.)"
            ))
        );
        assert_eq!(
            check(-301),
            Err(Refused::invalid(
                "Signature not yet current: 20260101T120000Z is still later than 20260101T115959Z \
                 (20260101T115459Z + 5 min.)"
            ))
        );
        assert!(signed("99991230T000000Z").check(at.0).is_err());
        assert!(signed("00000101T000000Z").check(at.0).is_err());
    }
}
