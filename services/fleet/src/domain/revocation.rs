//! Which keys the bus must refuse (fleet 9): those of nodes that are not good any more, until the last claims that were
//! issued for them have ended by themselves.

use std::collections::BTreeMap;

/// The longest that claims of a node live, in seconds: `credential_hours` is 168 at most.
pub(crate) const LONGEST_LIFE: i64 = 7 * 24 * 60 * 60;
/// How much the clocks of replicas may differ, in seconds: one may have issued claims while another put the node out.
const LEEWAY: i64 = 5;
const MICROSECONDS: i64 = 1_000_000;
/// The end of the year 9999. Whoever signs credentials that are not fleet's can sign others for the same key at any time, and
/// with any date: a key of theirs is never good.
const FOR_EVER: i64 = 253_402_300_799;

/// What is to be changed at the bus. Times are seconds since 1970: claims that were issued then or before are void.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settlement {
    /// To be refused besides, or longer.
    pub(crate) missing: BTreeMap<String, i64>,
    /// To be forgotten.
    pub(crate) over: Vec<String>,
}

/// Up to when a key's retirement matters to the bus, in microseconds before `now`.
pub(crate) fn horizon(now: i64) -> i64 {
    now.saturating_sub((LONGEST_LIFE + LEEWAY).saturating_mul(MICROSECONDS))
}

/// Which of the keys that the bus refuses could be forgotten, if they are nodes': those whose last claims have ended, and
/// those that were refused for ever, and would be again if nothing else had become of them.
pub(crate) fn aged(held: &BTreeMap<String, i64>, now: i64) -> Vec<&str> {
    let end = now.div_euclid(MICROSECONDS).saturating_sub(LONGEST_LIFE);
    let aged = held.iter().filter(|(_, at)| **at < end || **at >= FOR_EVER);
    aged.map(|(key, _)| key.as_str()).collect()
}

/// Compares the keys that stopped being good since the horizon with those that the bus refuses. Of `aged`, `nodes` are
/// keys of nodes: others were revoked by somebody else, whose business they are. `aliens` were never good. Retirements and
/// `now` are in microseconds.
pub(crate) fn settle(
    retired: &[(String, i64)],
    aliens: Vec<String>,
    held: &BTreeMap<String, i64>,
    nodes: Vec<String>,
    now: i64,
) -> Settlement {
    let horizon = horizon(now);
    let mut missing = BTreeMap::new();
    for (key, at) in retired.iter().filter(|(_, at)| *at >= horizon) {
        let void = at.div_euclid(MICROSECONDS).saturating_add(LEEWAY);
        if held.get(key).is_none_or(|known| *known < void) {
            missing.insert(key.clone(), void);
        }
    }
    let is_let_in = |key: &String| held.get(key).is_none_or(|known| *known < FOR_EVER);
    missing.extend(aliens.into_iter().filter(is_let_in).map(|key| (key, FOR_EVER)));
    let over = nodes.into_iter().filter(|key| !missing.contains_key(key)).collect();
    Settlement { missing, over }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// What the bus refuses after it was told.
    fn told(held: &BTreeMap<String, i64>, settlement: &Settlement) -> BTreeMap<String, i64> {
        let mut held = held.clone();
        held.retain(|key, _| !settlement.over.contains(key));
        for (key, at) in &settlement.missing {
            let known = held.entry(key.clone()).or_insert(*at);
            *known = (*known).max(*at);
        }
        held
    }

    fn judge(retired: &[(String, i64)], held: &BTreeMap<String, i64>) -> Settlement {
        let now = NOW * MICROSECONDS;
        let aged = aged(held, now)
            .into_iter()
            .filter(|key| key.starts_with('N'))
            .map(str::to_owned);
        settle(retired, Vec::new(), held, aged.collect(), now)
    }

    fn keys() -> impl Strategy<Value = BTreeMap<String, i64>> {
        // Around the two ends of the time that matters.
        let times = prop_oneof![NOW - 10..NOW, NOW - LONGEST_LIFE - 10..NOW - LONGEST_LIFE + 10];
        proptest::collection::btree_map("[NX][0-4]", times, 0..6)
    }

    proptest! {
        #[test]
        fn once_it_was_told_the_bus_refuses_what_matters_and_forgets_no_stranger(retired in keys(), held in keys()) {
            let retired: Vec<_> = retired.into_iter().map(|(key, at)| (key, at * MICROSECONDS)).collect();
            let after = told(&held, &judge(&retired, &held));
            prop_assert_eq!(judge(&retired, &after), Settlement::default());
            for (key, at) in &retired {
                if at / MICROSECONDS + LONGEST_LIFE >= NOW {
                    prop_assert!(after[key] * MICROSECONDS >= *at, "{} is refused", key);
                }
            }
            for (key, at) in &held {
                if key.starts_with('X') || *at + LONGEST_LIFE >= NOW {
                    prop_assert!(after[key] >= *at, "{} is kept", key);
                }
            }
        }

        #[test]
        fn two_who_tell_at_once_agree_in_the_end(retired in keys(), held in keys(), other in keys()) {
            let retired: Vec<_> = retired.into_iter().map(|(key, at)| (key, at * MICROSECONDS)).collect();
            // One overwrites what the other has told; whoever looks next finds the difference.
            let overwritten = told(&other, &judge(&retired, &other));
            let after = told(&held, &judge(&retired, &held));
            for state in [overwritten, after] {
                let again = told(&state, &judge(&retired, &state));
                prop_assert_eq!(judge(&retired, &again), Settlement::default());
            }
        }
    }

    #[test]
    fn a_key_that_was_never_good_is_refused_whatever_date_its_claims_have() {
        let alien = || vec!["N1".to_owned()];
        let mut held = BTreeMap::from([("N1".to_owned(), NOW + LEEWAY)]);
        let settlement = settle(&[], alien(), &held, Vec::new(), NOW * MICROSECONDS);
        assert_eq!(settlement.missing, [("N1".to_owned(), FOR_EVER)].into());
        held.extend(settlement.missing);
        assert_eq!(
            settle(&[], alien(), &held, Vec::new(), NOW * MICROSECONDS),
            Settlement::default()
        );
        // Once it is a node's it is none of them any more, and let in.
        let nodes = aged(&held, NOW * MICROSECONDS).into_iter().map(str::to_owned).collect();
        assert_eq!(settle(&[], Vec::new(), &held, nodes, NOW * MICROSECONDS).over, ["N1"]);
    }

    #[test]
    fn a_key_is_refused_from_its_end_until_its_last_claims_have_ended() {
        let at = |seconds: i64| vec![("N1".to_owned(), seconds * MICROSECONDS)];
        let none = BTreeMap::new();
        assert_eq!(judge(&at(NOW), &none).missing, [("N1".to_owned(), NOW + LEEWAY)].into());
        let old = NOW - LONGEST_LIFE - LEEWAY - 1;
        assert_eq!(judge(&at(old), &none), Settlement::default());
        let held = [("N1".to_owned(), old), ("X1".to_owned(), old)].into();
        assert_eq!(judge(&at(old), &held).over, ["N1"]);
    }
}
