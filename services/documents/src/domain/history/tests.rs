use muster_proto::aws::v1::Reason;
use proptest::prelude::*;

use super::*;

fn history(versions: &[i64], default: i64, last: i64) -> History {
    let keys = versions.iter().map(|version| VersionKey {
        version: *version,
        version_name: (*version % 2 == 0).then(|| format!("even{version}")),
        format: "JSON".to_owned(),
        identity: format!("content{version}"),
    });
    History {
        head: Head {
            id: "id".to_owned(),
            name: "Doc".to_owned(),
            built_in: false,
            document_type: "Command".to_owned(),
            default_version: default,
            latest_version: versions.iter().copied().max().unwrap(),
            last_version: last,
        },
        versions: keys.collect(),
    }
}

fn proposal<'a>(identity: &'a str, version_name: Option<&'a str>, expected: &str) -> Proposal<'a> {
    Proposal {
        expected: Which::parse(expected),
        version_name,
        format: Format::Json,
        identity,
    }
}

fn selector(version: Option<&str>, name: Option<&str>) -> Selector {
    Selector::new(version, name.map(str::to_owned))
}

#[test]
fn a_version_gets_a_number_that_none_ever_had() {
    let history = history(&[1, 2], 1, 5);
    let add = |expected| history.add(&proposal("new", None, expected), 9);
    assert_eq!(add("$LATEST"), Ok(6));
    assert_eq!(add("2"), Ok(6));
}

#[test]
fn a_version_that_cannot_be_added_is_refused_with_its_own_word() {
    let history = history(&[1, 2], 1, 2);
    let check = |proposal: Proposal<'_>, limit, reason| {
        assert_eq!(
            history.add(&proposal, limit).unwrap_err().reason(),
            reason,
            "{proposal:?}"
        );
    };
    check(proposal("new", None, "1"), 9, Reason::InvalidDocumentVersion);
    check(proposal("new", None, "3"), 9, Reason::InvalidDocumentVersion);
    check(proposal("new", None, "$DEFAULT"), 9, Reason::InvalidDocumentVersion);
    check(
        proposal("content1", None, "$LATEST"),
        9,
        Reason::DuplicateDocumentContent,
    );
    check(
        proposal("new", Some("even2"), "$LATEST"),
        9,
        Reason::DuplicateDocumentVersionName,
    );
    check(
        proposal("new", None, "$LATEST"),
        2,
        Reason::DocumentVersionLimitExceeded,
    );
    let yaml = Proposal {
        format: Format::Yaml,
        ..proposal("content1", None, "$LATEST")
    };
    assert_eq!(
        history.add(&yaml, 9),
        Ok(3),
        "the same bytes in another format are another content"
    );
}

#[test]
fn the_default_stays_while_there_are_others() {
    let two = history(&[1, 2], 1, 2);
    let remove = |version, name| two.remove(&selector(version, name), true, false);
    let version = Removal::Version { version: 2, latest: 1 };
    assert_eq!(remove(Some("2"), None), Ok(version));
    assert_eq!(remove(Some("$LATEST"), None), Ok(version));
    assert_eq!(remove(None, Some("even2")), Ok(version));
    assert_eq!(
        remove(Some("1"), None),
        Err(DocumentError::DefaultVersion { version: 1 })
    );
    assert_eq!(
        remove(Some("$DEFAULT"), None),
        Err(DocumentError::DefaultVersion { version: 1 })
    );
    for (version, name) in [(Some("7"), None), (None, Some("odd")), (Some("1"), Some("even2"))] {
        assert_eq!(remove(version, name).unwrap_err().reason(), Reason::InvalidDocument);
    }
}

#[test]
fn the_last_version_takes_the_document_with_it() {
    let one = history(&[4], 4, 6);
    let whole = selector(None, None);
    assert_eq!(one.remove(&whole, false, false), Ok(Removal::Document));
    assert_eq!(
        one.remove(&selector(Some("4"), None), false, false),
        Ok(Removal::Document)
    );
    assert_eq!(one.remove(&whole, true, false), Err(DocumentError::StillShared));
}

#[test]
fn some_documents_go_by_force_only() {
    let mut schema = history(&[1], 1, 1);
    schema.head.document_type = "ApplicationConfigurationSchema".to_owned();
    let remove = |force| schema.remove(&selector(None, None), false, force);
    assert_eq!(remove(false).unwrap_err().reason(), Reason::InvalidDocumentOperation);
    assert_eq!(remove(true), Ok(Removal::Document));
}

#[test]
fn nothing_changes_a_built_in_document() {
    let mut built_in = history(&[1, 2], 2, 2);
    built_in.head.built_in = true;
    let refused = [
        built_in.add(&proposal("new", None, "$LATEST"), 9).unwrap_err(),
        built_in.move_default(Which::Number(1)).unwrap_err(),
        built_in.remove(&selector(None, None), false, true).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.reason(), Reason::InvalidDocumentOperation);
    }
}

#[test]
fn seeding_makes_the_release_s_content_the_default() {
    let mut stored = history(&[1, 2], 2, 3);
    let seed = |stored: &History, identity| stored.seed(Format::Json, identity);
    assert_eq!(seed(&stored, "content2"), Seeding::Occupied);
    stored.head.built_in = true;
    assert_eq!(seed(&stored, "content2"), Seeding::Nothing);
    assert_eq!(seed(&stored, "content1"), Seeding::MoveDefault(1));
    assert_eq!(seed(&stored, "new"), Seeding::Add(4));
}

#[derive(Debug, Clone)]
enum Act {
    Add(u8),
    Move(u8),
    Remove(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        any::<u8>().prop_map(Act::Add),
        (0_u8..12).prop_map(Act::Move),
        (0_u8..12).prop_map(Act::Remove),
    ]
}

proptest! {
    /// Whatever is asked for: the default and the latest exist, no number and no content comes twice.
    #[test]
    fn a_history_stays_whole(acts in proptest::collection::vec(act(), 0..60)) {
        let mut history = history(&[1], 1, 1);
        let mut ever_given = std::collections::HashSet::from([1]);
        for act in acts {
            match act {
                Act::Add(content) => {
                    let identity = format!("content{content}");
                    if let Ok(version) = history.add(&proposal(&identity, None, "$LATEST"), 8) {
                        prop_assert!(ever_given.insert(version), "{} was given before", version);
                        let format = "JSON".to_owned();
                        history.versions.push(VersionKey { version, version_name: None, format, identity });
                        history.head.latest_version = version;
                        history.head.last_version = version;
                    }
                }
                Act::Move(number) => {
                    if let Ok(key) = history.move_default(Which::Number(i64::from(number))) {
                        history.head.default_version = key.version;
                    }
                }
                Act::Remove(number) => {
                    match history.remove(&selector(Some(&number.to_string()), None), false, false) {
                        Ok(Removal::Version { version, latest }) => {
                            history.versions.retain(|key| key.version != version);
                            history.head.latest_version = latest;
                        }
                        Ok(Removal::Document) => break,
                        Err(_) => {}
                    }
                }
            }
            let there = |version: i64| history.versions.iter().any(|key| key.version == version);
            prop_assert!(there(history.head.default_version));
            prop_assert!(there(history.head.latest_version));
            prop_assert_eq!(history.versions.iter().map(|key| key.version).max(), Some(history.head.latest_version));
            prop_assert!(history.versions.len() <= 8);
            let contents: std::collections::HashSet<_> = history.versions.iter().map(|key| &key.identity).collect();
            prop_assert_eq!(contents.len(), history.versions.len());
        }
    }
}
