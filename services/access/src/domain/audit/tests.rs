//! Whatever is done to a log, it shows, and where.

use proptest::prelude::*;

use super::*;

fn entry(number: usize, text: &str) -> Entry {
    Entry {
        time: 1_800_000_000_000_000 + i64::try_from(number).unwrap(),
        principal: format!("arn:aws:iam::000000000000:user/{text}"),
        access_key_id: "MKIAABCDEFGHIJKLMNOP".to_owned(),
        surface: "aws-json".to_owned(),
        source_ip: "127.0.0.1".to_owned(),
        action: "ssm:SendCommand".to_owned(),
        resource: "*".to_owned(),
        decision: "Allow".to_owned(),
        statements: vec!["operator/RunCommands".to_owned(), text.to_owned()],
        request_id: number.to_string(),
        // Records of both forms stand in one log.
        details: (0..number % 3).map(|detail| format!("{detail}={text}")).collect(),
    }
}

fn log(texts: &[String]) -> (Vec<Record>, Link) {
    let entries = texts.iter().enumerate().map(|(number, text)| entry(number, text));
    chain(Link::START, entries.collect())
}

fn verify(records: &[Record], last: Link) -> Result<(), Fault> {
    let mut verifier = Verifier::new(Link::START, None);
    for record in records {
        verifier.take(record)?;
    }
    verifier.end(last)
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-c]{0,3}", 2..20)
}

/// Each member, changed.
fn changed(entry: &Entry, member: usize) -> Entry {
    let mut other = entry.clone();
    match member {
        0 => other.time += 1,
        1 => other.principal.push('x'),
        2 => other.access_key_id.push('x'),
        3 => other.surface.push('x'),
        4 => other.source_ip.push('x'),
        5 => other.action.push('x'),
        6 => other.resource.push('x'),
        7 => "ExplicitDeny".clone_into(&mut other.decision),
        8 => other.request_id.push('x'),
        9 => other.statements.push(String::new()),
        10 => drop(other.statements.pop()),
        // What leaves one member comes into the next.
        11 => {
            let last = other.surface.pop().unwrap();
            other.source_ip.insert(0, last);
        }
        12 => other.details.push(String::new()),
        13 => match other.details.pop() {
            Some(detail) => other.statements.push(detail),
            None => other.details.push("version=3".to_owned()),
        },
        _ => {
            let second = other.statements.pop().unwrap();
            other.statements[0].push_str(&second);
        }
    }
    other
}

const MEMBERS: usize = 15;

proptest! {
    #[test]
    fn an_untouched_log_is_intact(texts in texts()) {
        let (records, last) = log(&texts);
        prop_assert_eq!(verify(&records, last), Ok(()));
        prop_assert_eq!(last.sequence, i64::try_from(texts.len()).unwrap());
    }

    #[test]
    fn a_changed_record_is_found(texts in texts(), at in any::<prop::sample::Index>(), member in 0..MEMBERS) {
        let (mut records, last) = log(&texts);
        let at = at.index(records.len());
        records[at].entry = changed(&records[at].entry, member);
        let sequence = records[at].sequence;
        prop_assert_eq!(verify(&records, last), Err(Fault::Altered { sequence }));
    }

    #[test]
    fn a_changed_record_with_a_fitting_hash_shows_in_the_next(
        texts in texts(), at in any::<prop::sample::Index>(), member in 0..MEMBERS
    ) {
        let (mut records, last) = log(&texts);
        let at = at.index(records.len());
        let before = at.checked_sub(1).map_or(Link::START, |before| records[before].link());
        records[at] = before.next(changed(&records[at].entry, member));
        let expected = match at + 1 == records.len() {
            true => Fault::OtherEnd { sequence: last.sequence },
            false => Fault::Altered { sequence: records[at + 1].sequence },
        };
        prop_assert_eq!(verify(&records, last), Err(expected));
    }

    #[test]
    fn a_removed_record_is_found(texts in texts(), at in any::<prop::sample::Index>()) {
        let (mut records, last) = log(&texts);
        let gone = records.remove(at.index(records.len()));
        prop_assert_eq!(verify(&records, last).unwrap_err().sequence(), gone.sequence);
    }

    #[test]
    fn a_removed_record_is_found_even_if_the_others_move_up(texts in texts(), at in any::<prop::sample::Index>()) {
        let (mut records, last) = log(&texts);
        let at = at.index(records.len());
        records.remove(at);
        for record in &mut records[at..] {
            record.sequence -= 1;
        }
        prop_assert_eq!(verify(&records, last).unwrap_err().sequence(), i64::try_from(at).unwrap() + 1);
    }

    #[test]
    fn an_inserted_record_is_found(texts in texts(), at in any::<prop::sample::Index>()) {
        let (mut records, last) = log(&texts);
        let at = at.index(records.len());
        let before = at.checked_sub(1).map_or(Link::START, |before| records[before].link());
        let put_in = before.next(entry(999, "put in"));
        for record in &mut records[at..] {
            record.sequence += 1;
        }
        records.insert(at, put_in);
        let found = verify(&records, last).unwrap_err();
        // It fits where it stands; the one behind it does not.
        prop_assert_eq!(found.sequence(), i64::try_from(at).unwrap() + 2);
    }

    #[test]
    fn two_records_that_changed_places_are_found(
        texts in texts(), one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), renumber in any::<bool>()
    ) {
        let (mut records, last) = log(&texts);
        let (one, other) = (one.index(records.len()), other.index(records.len()));
        prop_assume!(one != other);
        records.swap(one, other);
        if renumber {
            let number = records[one].sequence;
            records[one].sequence = records[other].sequence;
            records[other].sequence = number;
        }
        let first = i64::try_from(one.min(other)).unwrap() + 1;
        prop_assert_eq!(verify(&records, last).unwrap_err().sequence(), first);
    }

    #[test]
    fn an_end_that_was_cut_off_is_found(texts in texts(), keep in any::<prop::sample::Index>()) {
        let (mut records, last) = log(&texts);
        let keep = keep.index(records.len());
        records.truncate(keep);
        let first = i64::try_from(keep).unwrap() + 1;
        prop_assert_eq!(verify(&records, last), Err(Fault::Cut { sequence: first, last: last.sequence }));
    }

    #[test]
    fn what_was_removed_in_front_leaves_an_anchor(texts in texts(), at in any::<prop::sample::Index>()) {
        let (records, last) = log(&texts);
        let at = at.index(records.len());
        let mut verifier = Verifier::new(records[at].link(), None);
        for record in &records[at + 1..] {
            verifier.take(record).unwrap();
        }
        prop_assert_eq!(verifier.end(last), Ok(()));
        prop_assert_eq!(verifier.records(), i64::try_from(records.len() - at - 1).unwrap());
        if at + 1 < records.len() {
            let mut other = Verifier::new(Link { hash: Hash::NONE, ..records[at].link() }, None);
            prop_assert_eq!(other.take(&records[at + 1]), Err(Fault::Altered { sequence: records[at + 1].sequence }));
        }
    }

    #[test]
    fn a_log_that_was_replaced_as_a_whole_lacks_the_known_record(texts in texts(), at in any::<prop::sample::Index>()) {
        let (records, _) = log(&texts);
        let known = records[at.index(records.len())].link();
        let other: Vec<_> = texts.iter().map(|text| format!("{text}!")).collect();
        let (replaced, last) = log(&other);
        prop_assert_eq!(verify(&replaced, last), Ok(()), "its own hashes fit");
        let mut verifier = Verifier::new(Link::START, Some(known));
        let found = replaced.iter().try_for_each(|record| verifier.take(record));
        prop_assert_eq!(found, Err(Fault::NotTheKnown { sequence: known.sequence }));
    }

    #[test]
    fn a_seal_is_made_by_its_key_and_for_its_ends_only(first in 0_i64..100, number in 0_i64..100, byte in 1_u8..) {
        let link = |sequence| Link { sequence, hash: Hash([byte; 32]) };
        let ends = Ends { anchor: link(first), last: link(number) };
        let key = SealingKey::new("a".to_owned(), [1; 32]);
        let seal = ends.seal(&key);
        prop_assert!(ends.is_sealed(&key, &seal));
        prop_assert!(!ends.is_sealed(&SealingKey::new("a".to_owned(), [2; 32]), &seal));
        let others = [
            Ends { anchor: link(first + 1), ..ends },
            Ends { last: link(number + 1), ..ends },
            Ends { last: Link { hash: Hash::NONE, ..ends.last }, ..ends },
            Ends { anchor: Link { hash: Hash::NONE, ..ends.anchor }, ..ends },
        ];
        for other in others {
            prop_assert!(!other.is_sealed(&key, &seal));
        }
    }
}

#[test]
fn records_behind_the_end_and_a_missing_known_one_are_found() {
    let (records, last) = log(&["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    let early = records[1].link();
    assert_eq!(verify(&records, early), Err(Fault::Beyond { sequence: 3, last: 2 }));
    let known = Link { sequence: 7, ..last };
    let mut verifier = Verifier::new(Link::START, Some(known));
    records.iter().for_each(|record| verifier.take(record).unwrap());
    assert_eq!(verifier.end(last), Err(Fault::KnownIsMissing { sequence: 7, last: 3 }));
}

#[test]
fn a_hash_has_one_spelling() {
    let text = Hash([0xab; 32]).to_string();
    assert_eq!(Hash::parse(&text), Some(Hash([0xab; 32])));
    assert_eq!(Hash::parse(&text.to_uppercase()), None);
    assert_eq!(Hash::parse("ab"), None);
}
