//! The order of versions.

use std::cmp::Ordering;

/// Compares two versions: by their numbers from left to right, then a release above its pre-releases
/// (`1.2.0-rc.1 < 1.2.0`), then word by word. What follows a `+` does not count.
#[must_use]
pub fn compare(one: &str, other: &str) -> Ordering {
    let [(one, one_pre), (other, other_pre)] = [one, other].map(split);
    by_parts(one, other).then_with(|| match (one_pre, other_pre) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(other)) => by_parts(one, other),
    })
}

fn split(version: &str) -> (&str, Option<&str>) {
    let version = version.trim_start_matches(['v', 'V']);
    let version = version.split_once('+').map_or(version, |(version, _)| version);
    version
        .split_once('-')
        .map_or((version, None), |(version, pre)| (version, Some(pre)))
}

fn by_parts(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        let (one, other) = match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            // 1.2 and 1.2.0 are the same.
            (one, other) => (one.unwrap_or("0"), other.unwrap_or("0")),
        };
        let order = match (one.parse::<u64>(), other.parse::<u64>()) {
            (Ok(one), Ok(other)) => one.cmp(&other),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => one.cmp(other),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_the_order_that_people_mean() {
        let ordered = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-rc.2",
            "1.0.0-rc.10",
            "1.0.0",
            "1.0.1",
            "1.2",
            "1.10.0",
            "2.0.0-1",
            "2.0.0",
        ];
        for (at, one) in ordered.iter().enumerate() {
            for (other_at, other) in ordered.iter().enumerate() {
                assert_eq!(compare(one, other), at.cmp(&other_at), "{one} {other}");
            }
        }
        for (one, other) in [("1.2", "1.2.0"), ("v1.2", "1.2"), ("1.2+build.7", "1.2")] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
    }
}
