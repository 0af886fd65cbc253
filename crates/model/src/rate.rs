//! Max-concurrency and max-errors: a number or a percentage of the targets (schedules-and-rate-control 7.1).

use std::fmt;
use std::str::FromStr;

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct RateError {
    text: String,
    expected: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rate {
    Count(u32),
    Percent(u8),
}

impl Rate {
    /// Digits without leading zeros, or such digits and `%` up to 100; seven characters at most.
    fn parse(text: &str) -> Option<Self> {
        if text.len() > 7 {
            return None;
        }
        let (digits, percent) = match text.strip_suffix('%') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || (digits.len() > 1 && digits.starts_with('0')) {
            return None;
        }
        let value: u32 = digits.parse().ok()?;
        match percent {
            false => Some(Self::Count(value)),
            true => u8::try_from(value)
                .ok()
                .filter(|value| *value <= 100)
                .map(Self::Percent),
        }
    }

    /// Rounded down.
    fn of(self, targets: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let share = u64::from(targets) * u64::from(percent) / 100;
                u32::try_from(share).expect("a share of a u32 fits a u32")
            }
        }
    }

    fn is_zero(self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// How many targets may be in flight at once: `10` or `50%`; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxConcurrency(Rate);

impl MaxConcurrency {
    /// What Run Command uses when nothing is said.
    pub const DEFAULT: Self = Self(Rate::Count(50));

    /// The number for `targets` targets: a percentage is rounded down, but never below one.
    #[must_use]
    pub fn resolve(self, targets: u32) -> u32 {
        self.0.of(targets).max(1)
    }
}

impl FromStr for MaxConcurrency {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        match Rate::parse(text) {
            Some(rate) if !rate.is_zero() => Ok(Self(rate)),
            _ => Err(RateError {
                text: text.to_owned(),
                expected: "a number from 1 or a percentage from 1% to 100%",
            }),
        }
    }
}

impl fmt::Display for MaxConcurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many errors are allowed before sending stops: `0`, `3` or `10%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxErrors(Rate);

impl MaxErrors {
    /// What Run Command uses when nothing is said.
    pub const DEFAULT: Self = Self(Rate::Count(0));

    /// The number for `targets` targets: a percentage is rounded down.
    #[must_use]
    pub fn resolve(self, targets: u32) -> u32 {
        self.0.of(targets)
    }
}

impl FromStr for MaxErrors {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        Rate::parse(text).map(Self).ok_or_else(|| RateError {
            text: text.to_owned(),
            expected: "a number from 0 or a percentage from 0% to 100%",
        })
    }
}

impl fmt::Display for MaxErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentages_round_down_and_concurrency_is_at_least_one() {
        let check = |concurrency: &str, errors: &str, targets: u32, expected: (u32, u32)| {
            let c: MaxConcurrency = concurrency.parse().unwrap();
            let e: MaxErrors = errors.parse().unwrap();
            assert_eq!(
                (c.resolve(targets), e.resolve(targets)),
                expected,
                "{concurrency} {errors} of {targets}"
            );
        };
        check("10%", "10%", 50, (5, 5));
        check("10%", "10%", 5, (1, 0));
        check("30%", "15%", 7, (2, 1));
        check("33%", "33%", 3, (1, 0));
        check("10%", "1%", 99, (9, 0));
        check("100%", "100%", 10, (10, 10));
        check("50", "0", 10, (50, 0));
        check("1%", "0%", 0, (1, 0));
        check("100%", "100%", u32::MAX, (u32::MAX, u32::MAX));
    }

    #[test]
    fn malformed_rates_are_refused() {
        for bad in [
            "", "0", "0%", "101%", "010", "-1", "5 %", "%", "1.5", "12345678", "+1", "00", "1000000%",
        ] {
            assert!(bad.parse::<MaxConcurrency>().is_err(), "{bad:?}");
        }
        for bad in ["", "101%", "01", "00", "-1", "%", "1e3"] {
            assert!(bad.parse::<MaxErrors>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_back(text in "[0-9]{1,3}%?") {
            if let Ok(rate) = text.parse::<MaxErrors>() {
                prop_assert_eq!(rate.to_string(), text);
            }
        }
    }
}
