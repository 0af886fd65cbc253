//! What a node tells of itself, made fit to be stored and shown (agent.md A7).
//!
//! An agent may be old, broken or hostile: what it tells is cut to the contract's lengths, and what does not have the
//! form of its kind counts as unknown, which is the empty text.

use std::collections::BTreeSet;
use std::net::IpAddr;

use muster_proto::Word;
use muster_proto::agent::v1::NodeFacts;
use muster_proto::aws::v1::PlatformType;

/// Longest text of most members, in characters; the contract's limit.
const LONGEST: usize = 120;
const LONGEST_COMPUTER_NAME: usize = 255;
const LONGEST_NAME: usize = 256;
const LONGEST_CAPABILITY: usize = 64;
const MOST_CAPABILITIES: usize = 64;
/// Digits of a part of a version; the contract's limit.
const VERSION_DIGITS: usize = 6;

/// What a node tells of itself; empty where unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) agent_version: String,
    pub(crate) agent_version_order: String,
    pub(crate) platform_type: String,
    pub(crate) platform_name: String,
    pub(crate) platform_version: String,
    pub(crate) computer_name: String,
    pub(crate) ip_address: String,
    pub(crate) architecture: String,
    pub(crate) boot_id: String,
    pub(crate) availability_zone: String,
    /// Words with blanks between them.
    pub(crate) capabilities: String,
}

impl From<NodeFacts> for Facts {
    fn from(told: NodeFacts) -> Self {
        let agent_version_order = version_order(&told.agent_version);
        Self {
            agent_version: match agent_version_order {
                Some(_) => told.agent_version,
                None => String::new(),
            },
            agent_version_order: agent_version_order.unwrap_or_default(),
            platform_type: known(told.platform_type, |text| PlatformType::from_word(text).is_some()),
            platform_name: clean(&told.platform_name, LONGEST),
            platform_version: clean(&told.platform_version, LONGEST),
            computer_name: clean(&told.computer_name, LONGEST_COMPUTER_NAME),
            ip_address: known(told.ip_address, |text| text.parse::<IpAddr>().is_ok()),
            architecture: clean(&told.architecture, LONGEST),
            boot_id: clean(&told.boot_id, LONGEST),
            availability_zone: clean(&told.availability_zone, LONGEST),
            capabilities: capabilities(&told.capabilities),
        }
    }
}

/// The name of a node as an operator gave it.
pub(crate) fn name(text: &str) -> String {
    clean(text, LONGEST_NAME)
}

/// A version of three or four numbers in a form that sorts as text; `None` for every other text.
pub(crate) fn version_order(version: &str) -> Option<String> {
    let parts: Vec<&str> = version.split('.').collect();
    let is_number = |part: &&str| {
        (1..=VERSION_DIGITS).contains(&part.len()) && part.bytes().all(|character| character.is_ascii_digit())
    };
    if !(3..=4).contains(&parts.len()) || !parts.iter().all(is_number) {
        return None;
    }
    let mut order: Vec<String> = parts.iter().map(|part| format!("{part:0>VERSION_DIGITS$}")).collect();
    // 1.2.3 and 1.2.3.0 are the same version.
    order.resize(4, "0".repeat(VERSION_DIGITS));
    Some(order.join("."))
}

/// Without control characters, which no reader wants and PostgreSQL partly refuses, and then without spaces around it.
fn clean(text: &str, longest: usize) -> String {
    let kept: String = text
        .chars()
        .filter(|character| !character.is_control())
        .skip_while(|character| character.is_whitespace())
        .take(longest)
        .collect();
    kept.trim_end().to_owned()
}

fn known(text: String, fits: impl Fn(&str) -> bool) -> String {
    match fits(&text) {
        true => text,
        false => String::new(),
    }
}

fn capabilities(told: &[String]) -> String {
    let is_word = |word: &&str| {
        let fits = |character: u8| character.is_ascii_alphanumeric() || b"._:-".contains(&character);
        (1..=LONGEST_CAPABILITY).contains(&word.len()) && word.bytes().all(fits)
    };
    let words: BTreeSet<&str> = told
        .iter()
        .map(String::as_str)
        .filter(is_word)
        .take(MOST_CAPABILITIES)
        .collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_have_three_or_four_numbers() {
        let check =
            |version: &str, order: Option<&str>| assert_eq!(version_order(version).as_deref(), order, "{version}");
        check("0.1.0", Some("000000.000001.000000.000000"));
        check("3.2.2303.1", Some("000003.000002.002303.000001"));
        for bad in [
            "",
            "1",
            "1.2",
            "1.2.3.4.5",
            "1.2.x",
            "1.2.3-rc1",
            "1..2",
            "1.2.1234567",
            "+1.2.3",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn what_has_not_the_form_of_its_kind_is_unknown() {
        let facts = Facts::from(NodeFacts {
            agent_version: "0.1.0-dev".to_owned(),
            platform_type: "BeOS".to_owned(),
            platform_name: " Debian\0 GNU/Linux\n ".to_owned(),
            computer_name: "x".repeat(300),
            ip_address: "somewhere".to_owned(),
            capabilities: vec!["b".to_owned(), "a b".to_owned(), String::new(), "a".to_owned()],
            ..NodeFacts::default()
        });
        assert_eq!(facts.computer_name.len(), 255);
        let expected = Facts {
            platform_name: "Debian GNU/Linux".to_owned(),
            computer_name: facts.computer_name.clone(),
            capabilities: "a b".to_owned(),
            ..Facts::default()
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn what_is_well_formed_is_kept() {
        let facts = Facts::from(NodeFacts {
            agent_version: "0.1.0".to_owned(),
            platform_type: "MacOS".to_owned(),
            ip_address: "2001:db8::1".to_owned(),
            architecture: "x86_64".to_owned(),
            ..NodeFacts::default()
        });
        assert_eq!(facts.agent_version, "0.1.0");
        assert_eq!(facts.platform_type, "MacOS");
        assert_eq!(facts.ip_address, "2001:db8::1");
        assert_eq!(facts.architecture, "x86_64");
    }

    #[test]
    fn spaces_behind_control_characters_are_taken_away_too() {
        assert_eq!(clean("\0 a\u{1} b \0", 10), "a b");
    }

    proptest! {
        #[test]
        fn the_order_of_versions_is_that_of_their_numbers(
            a in prop::collection::vec(0_u32..1_000_000, 4),
            b in prop::collection::vec(0_u32..1_000_000, 4),
        ) {
            let text = |parts: &[u32]| parts.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
            let order = |parts: &[u32]| version_order(&text(parts)).unwrap();
            prop_assert_eq!(order(&a).cmp(&order(&b)), a.cmp(&b));
        }

        #[test]
        fn stored_texts_hold_no_control_characters(text in ".{0,400}") {
            let facts = Facts::from(NodeFacts { platform_name: text.clone(), ..NodeFacts::default() });
            prop_assert!(!facts.platform_name.chars().any(char::is_control));
            prop_assert!(facts.platform_name.chars().count() <= LONGEST);
            prop_assert_eq!(clean(&facts.platform_name, LONGEST), facts.platform_name);
        }
    }
}
