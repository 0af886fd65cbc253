use proptest::prelude::*;

use super::*;
use crate::domain::code::Code;
use crate::domain::identity::{KINDS, Kind};

const NOW: i64 = 1_800_000_000_000_000;
const MINUTE: i64 = 60 * 1_000_000;
const NEW: Verdict = Verdict::New { tags: BTreeMap::new() };

fn code(text: &str) -> CodeHash {
    Code::given(text.to_owned()).hash()
}

fn machine(parts: u8) -> Attributes {
    Attributes(
        KINDS
            .into_iter()
            .map(|kind| (kind, format!("{parts:02x}").repeat(32)))
            .collect(),
    )
}

fn applicant() -> Applicant {
    Applicant {
        activation_id: "a".to_owned(),
        code: code("right"),
        installation: "i1".to_owned(),
        as_new: false,
        key: "K1".to_owned(),
        former_key: None,
        name: String::new(),
        tags: BTreeMap::new(),
        attributes: machine(1),
        facts: Facts::default(),
        source: String::new(),
    }
}

fn terms() -> Terms {
    Terms {
        code_hash: code("right").to_hex(),
        registration_limit: 2,
        registrations_count: 0,
        expires_at: NOW + MINUTE,
        is_deleted: false,
        wrong_codes: 0,
        locked_until: 0,
        tags: BTreeMap::new(),
    }
}

fn node() -> Candidate {
    Candidate {
        node_id: "mi-1".to_owned(),
        installations: vec!["i1".to_owned()],
        attributes: machine(1),
        keys: vec!["K1".to_owned()],
        is_online: true,
        approved: String::new(),
    }
}

fn known() -> Verdict {
    Verdict::Known {
        node_id: "mi-1".to_owned(),
    }
}

fn denied(why: Denial) -> Verdict {
    Verdict::Denied { why, locks: false }
}

#[test]
fn each_reason_is_told_apart_for_the_audit() {
    let check = |change: &dyn Fn(&mut Terms), with: &str, why: Denial| {
        let mut terms = terms();
        change(&mut terms);
        let applicant = Applicant {
            code: code(with),
            ..applicant()
        };
        assert_eq!(decide(&applicant, Some(&mut terms), &[], None, NOW), denied(why));
    };
    check(&|_| {}, "wrong", Denial::WrongCode);
    check(&|terms| terms.expires_at = NOW, "right", Denial::Expired);
    check(&|terms| terms.is_deleted = true, "right", Denial::Deleted);
    check(&|terms| terms.registrations_count = 2, "right", Denial::UsedUp);
    check(&|terms| terms.locked_until = NOW + 1, "right", Denial::Locked);
    assert_eq!(decide(&applicant(), None, &[], None, NOW), denied(Denial::Unknown));
}

#[test]
fn the_tenth_wrong_code_in_a_row_locks_for_ten_minutes() {
    let mut terms = terms();
    let wrong = Applicant {
        code: code("wrong"),
        ..applicant()
    };
    for number in 1..=10 {
        let verdict = decide(&wrong, Some(&mut terms), &[], None, NOW);
        let why = Denial::WrongCode;
        assert_eq!(
            verdict,
            Verdict::Denied {
                why,
                locks: number == 10
            },
            "{number}"
        );
    }
    terms.expires_at = NOW + 60 * MINUTE;
    let right = |terms: &mut Terms, now| decide(&applicant(), Some(terms), &[], None, now);
    assert_eq!(right(&mut terms, NOW + 10 * MINUTE - 1), denied(Denial::Locked));
    assert_eq!(right(&mut terms, NOW + 10 * MINUTE), NEW);
}

#[test]
fn a_right_code_begins_the_count_anew() {
    let mut terms = terms();
    terms.wrong_codes = 9;
    assert_eq!(decide(&applicant(), Some(&mut terms), &[], None, NOW), NEW);
    assert_eq!((terms.wrong_codes, terms.registrations_count), (0, 1));
}

#[test]
fn a_known_machine_needs_no_second_use() {
    let mut terms = terms();
    terms.registrations_count = 2;
    assert_eq!(
        decide(&applicant(), Some(&mut terms), &[node()], Some("mi-1"), NOW),
        known()
    );
    // Its state directory is lost, with it its key; the parts are the same, and the node has been silent.
    let again = Applicant {
        installation: "i2".to_owned(),
        key: "K2".to_owned(),
        ..applicant()
    };
    let silent = Candidate {
        is_online: false,
        ..node()
    };
    assert_eq!(decide(&again, Some(&mut terms), &[silent], None, NOW), known());
    assert_eq!(terms.registrations_count, 2);
    let new = Applicant {
        as_new: true,
        key: "K3".to_owned(),
        ..applicant()
    };
    assert_eq!(
        decide(&new, Some(&mut terms), &[node()], None, NOW),
        denied(Denial::UsedUp)
    );
    terms.registration_limit = 3;
    assert_eq!(decide(&new, Some(&mut terms), &[node()], None, NOW), NEW);
}

#[test]
fn who_takes_the_place_of_a_node_that_is_online_is_a_clone_until_an_operator_says_otherwise() {
    let other_key = Applicant {
        key: "K2".to_owned(),
        ..applicant()
    };
    let verdict = decide(&other_key, Some(&mut terms()), &[node()], None, NOW);
    assert_eq!(
        verdict,
        Verdict::Clone {
            node_id: "mi-1".to_owned()
        }
    );
    let holds_both = Applicant {
        former_key: Some("K1".to_owned()),
        ..other_key.clone()
    };
    assert_eq!(decide(&holds_both, Some(&mut terms()), &[node()], None, NOW), known());
    let approved = Candidate {
        approved: claim::of_key("K2"),
        ..node()
    };
    let approved = std::slice::from_ref(&approved);
    assert_eq!(decide(&other_key, Some(&mut terms()), approved, None, NOW), known());
    // The leave is for that machine: whoever comes first with another key does not use it.
    let third = Applicant {
        key: "K3".to_owned(),
        ..other_key
    };
    let verdict = decide(&third, Some(&mut terms()), approved, None, NOW);
    assert!(matches!(verdict, Verdict::Clone { .. }), "{verdict:?}");
}

#[test]
fn what_others_can_find_out_takes_no_silent_node_without_an_operator() {
    let mut attributes = machine(1);
    attributes
        .0
        .retain(|kind, _| [Kind::MachineId, Kind::Mac, Kind::Disk].contains(kind));
    let stranger = Applicant {
        installation: "i2".to_owned(),
        key: "K2".to_owned(),
        attributes: attributes.clone(),
        ..applicant()
    };
    let silent = |attributes: Attributes, approved: &str| Candidate {
        attributes,
        is_online: false,
        approved: approved.to_owned(),
        ..node()
    };
    let ask = |candidate: Candidate| decide(&stranger, Some(&mut terms()), &[candidate], None, NOW);
    assert_eq!(ask(silent(machine(1), "")), NEW, "most of what is known is not told");
    let doubtful = Verdict::Doubtful {
        node_id: "mi-1".to_owned(),
    };
    assert_eq!(ask(silent(attributes.clone(), "")), doubtful);
    assert_eq!(ask(silent(attributes.clone(), &claim::of_key("K3"))), doubtful);
    assert_eq!(ask(silent(attributes, &claim::of_key("K2"))), known());
    // It need not wait: as a new node it needs nobody's word.
    let new = Applicant {
        as_new: true,
        ..stranger.clone()
    };
    let candidates = [silent(stranger.attributes.clone(), "")];
    assert_eq!(decide(&new, Some(&mut terms()), &candidates, None, NOW), NEW);
}

#[test]
fn a_copied_disk_in_another_machine_becomes_a_node_of_its_own() {
    let mut attributes = machine(2);
    attributes.0.insert(Kind::MachineId, "01".repeat(32));
    let copy = Applicant {
        attributes,
        key: "K2".to_owned(),
        ..applicant()
    };
    assert_eq!(decide(&copy, Some(&mut terms()), &[node()], None, NOW), NEW);
    // With the key on the disk it would be the same node for the broker.
    let with_key = Applicant {
        key: "K1".to_owned(),
        ..copy
    };
    let verdict = decide(&with_key, Some(&mut terms()), &[node()], Some("mi-1"), NOW);
    assert_eq!(verdict, Verdict::ForeignKey);
}

#[test]
fn a_new_node_whose_answer_got_lost_is_found_by_its_new_key() {
    let mut terms = terms();
    terms.registrations_count = 2;
    let again = Applicant {
        as_new: true,
        ..applicant()
    };
    assert_eq!(decide(&again, Some(&mut terms), &[node()], Some("mi-1"), NOW), known());
    let elsewhere = Applicant {
        installation: "i2".to_owned(),
        ..again
    };
    let verdict = decide(&elsewhere, Some(&mut terms), &[node()], Some("mi-1"), NOW);
    assert_eq!(verdict, Verdict::ForeignKey);
}

#[test]
fn the_tags_of_the_activation_win() {
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let tags = tags(&pairs(&[("Role", "web")]), &pairs(&[("Role", "db"), ("Rack", "7")]));
    assert_eq!(tags, pairs(&[("Rack", "7"), ("Role", "web")]));
}

#[test]
fn tags_of_both_that_do_not_fit_together_are_refused_and_use_nothing_up() {
    let many = |from: usize| {
        (from..from + 30)
            .map(|number| (format!("k{number}"), String::new()))
            .collect()
    };
    let mut terms = Terms {
        tags: many(0),
        ..terms()
    };
    let applicant = Applicant {
        tags: many(30),
        ..applicant()
    };
    assert_eq!(
        decide(&applicant, Some(&mut terms), &[], None, NOW),
        Verdict::TooManyTags(60)
    );
    assert_eq!(terms.registrations_count, 0);
}

proptest! {
    #[test]
    fn never_more_than_the_limit_are_let_in(
        limit in 1_i64..5,
        steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0_i64..20), 1..60),
    ) {
        let mut terms = Terms { registration_limit: limit, expires_at: NOW + 1_000 * MINUTE, ..terms() };
        let (mut now, mut admitted) = (NOW, 0);
        for (is_right, as_new, minutes) in steps {
            now += minutes * MINUTE;
            let locked = terms.locked_until > now;
            let applicant = Applicant {
                code: code(if is_right { "right" } else { "wrong" }),
                as_new,
                ..applicant()
            };
            let verdict = decide(&applicant, Some(&mut terms), &[], None, now);
            admitted += i64::from(verdict == NEW);
            prop_assert!(admitted <= limit && terms.registrations_count == admitted);
            prop_assert!(is_right || verdict != NEW);
            prop_assert!(!locked || verdict == denied(Denial::Locked));
            prop_assert!(terms.wrong_codes < WRONG_CODES);
        }
    }
}

#[test]
fn a_machine_that_registers_again_and_tells_less_is_known_by_all_of_it() {
    let known = node();
    let mut told = applicant();
    told.attributes.0.remove(&Kind::Disk);
    assert_eq!(known.parts_with(&told), machine(1));
    // With an operator's leave it may be another machine, of which only this is known.
    let approved = Candidate {
        approved: claim::of_key("K1"),
        ..node()
    };
    assert_eq!(approved.parts_with(&told), told.attributes);
}
