//! Labels of versions (parameter-store 7). A label sits on one version of a parameter at a time.

use std::collections::BTreeMap;

use crate::domain::name::begins_with;
use crate::error::ParameterError;

/// Most labels of a version.
const MAX_LABELS: usize = 10;

/// Which version each label of a parameter is on.
pub(crate) type Labels = BTreeMap<String, i64>;

/// Whether a label may be put on a version. Its length was checked by the contract.
fn is_good(label: &str) -> bool {
    let is_shaped = label
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    let begins_badly = label.starts_with(|first: char| first.is_ascii_digit())
        || begins_with(label, "aws")
        || begins_with(label, "ssm");
    !label.is_empty() && is_shaped && !begins_badly
}

/// Parts labels into those that may be and those that may not, each once and in the order given.
pub(crate) fn part(labels: &[String]) -> (Vec<String>, Vec<String>) {
    let mut unique: Vec<String> = Vec::new();
    for label in labels {
        if !unique.contains(label) {
            unique.push(label.clone());
        }
    }
    unique.into_iter().partition(|label| is_good(label))
}

/// The labels of a parameter after good ones were put on a version.
pub(crate) fn moved(present: &Labels, version: i64, good: &[String]) -> Result<Labels, ParameterError> {
    let mut after = present.clone();
    after.extend(good.iter().map(|label| (label.clone(), version)));
    match after.values().filter(|on| **on == version).count() > MAX_LABELS {
        true => Err(ParameterError::TooManyLabels { limit: MAX_LABELS }),
        false => Ok(after),
    }
}

/// Parts labels into those that are on a version and those that are not.
pub(crate) fn found(present: &Labels, version: i64, labels: &[String]) -> (Vec<String>, Vec<String>) {
    let mut unique: Vec<String> = Vec::new();
    for label in labels {
        if !unique.contains(label) {
            unique.push(label.clone());
        }
    }
    unique
        .into_iter()
        .partition(|label| present.get(label) == Some(&version))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
    }

    #[test]
    fn labels_that_break_a_rule_are_set_apart() {
        let (good, bad) = part(&texts(&[
            "prod", "1st", "aws-x", "SSM", "a b", "x.y_z-1", "prod", "awful", "é", "",
        ]));
        assert_eq!(good, texts(&["prod", "x.y_z-1", "awful"]));
        assert_eq!(bad, texts(&["1st", "aws-x", "SSM", "a b", "é", ""]));
    }

    #[test]
    fn a_label_moves_and_the_eleventh_is_too_many() {
        let present = Labels::from([("prod".to_owned(), 1), ("test".to_owned(), 2)]);
        let after = moved(&present, 2, &texts(&["prod", "test"])).unwrap();
        assert_eq!(after, Labels::from([("prod".to_owned(), 2), ("test".to_owned(), 2)]));
        let ten: Vec<_> = (0..10).map(|n| format!("l{n}")).collect();
        assert!(moved(&Labels::new(), 1, &ten).is_ok());
        assert!(moved(&present, 1, &ten).is_err());
        assert!(moved(&present, 3, &ten).is_ok());
        let (removed, strange) = found(&after, 2, &texts(&["prod", "dev", "prod"]));
        assert_eq!((removed, strange), (texts(&["prod"]), texts(&["dev"])));
    }

    proptest! {
        #[test]
        fn a_version_never_has_more_than_ten(steps in prop::collection::vec((1_i64..4, prop::collection::vec("[a-m]", 1..11)), 0..20)) {
            let mut labels = Labels::new();
            for (version, wanted) in steps {
                if let Ok(after) = moved(&labels, version, &wanted) {
                    for label in &wanted {
                        prop_assert_eq!(after[label], version);
                    }
                    labels = after;
                }
                for version in 1..4 {
                    prop_assert!(labels.values().filter(|on| **on == version).count() <= MAX_LABELS);
                }
            }
        }
    }
}
