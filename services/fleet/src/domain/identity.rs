//! Whether a machine is the one that it was (agent.md B8).
//!
//! A machine tells what stays the same on it, each as a hash, so that nothing of it can be read here. Parts may change
//! one at a time without making it another machine; a copy of its disk on other hardware is one. Its address and the
//! version of its system are no part of it.

use std::collections::BTreeMap;

/// Something that stays the same on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The system's own id; the same on all copies of an image that was not cleaned.
    MachineId,
    /// The firmware's id of the machine.
    ProductUuid,
    /// The maker's number of the machine.
    ProductSerial,
    /// The maker's number of the board.
    BoardSerial,
    /// The address that the first network card came with.
    Mac,
    /// The maker's number of the disk with the root file system.
    Disk,
}

/// All kinds.
pub(crate) const KINDS: [Kind; 6] = [
    Kind::MachineId,
    Kind::ProductUuid,
    Kind::ProductSerial,
    Kind::BoardSerial,
    Kind::Mac,
    Kind::Disk,
];

/// So much must agree before a machine is taken for a known one without the state directory that it had: more than the
/// system's id alone, which containers of one image share.
const EVIDENCE: u32 = 60;

impl Kind {
    /// As agents call it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::MachineId => "machine-id",
            Self::ProductUuid => "product-uuid",
            Self::ProductSerial => "product-serial",
            Self::BoardSerial => "board-serial",
            Self::Mac => "mac",
            Self::Disk => "disk",
        }
    }

    /// The kind with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.word() == word)
    }

    /// How much it says.
    const fn weight(self) -> u32 {
        match self {
            Self::MachineId => 40,
            Self::ProductUuid => 30,
            Self::Mac => 20,
            Self::ProductSerial | Self::BoardSerial => 15,
            Self::Disk => 10,
        }
    }
}

/// What a machine tells of itself: hashes in hexadecimal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes(pub(crate) BTreeMap<Kind, String>);

/// How two tellings compare, in weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Agreement {
    /// Of what both tell.
    told: u32,
    /// Of what is the same.
    same: u32,
}

impl Attributes {
    /// Takes from what a machine tells the kinds that are known and the values that are hashes.
    pub(crate) fn read<'a>(told: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let known = told.into_iter().filter_map(|(kind, hash)| {
            let kind = Kind::from_word(kind)?;
            is_hash(hash).then(|| (kind, hash.to_ascii_lowercase()))
        });
        Self(known.collect())
    }

    fn agreement(&self, other: &Self) -> Agreement {
        let mut agreement = Agreement { told: 0, same: 0 };
        for (kind, hash) in &self.0 {
            if let Some(also) = other.0.get(kind) {
                agreement.told += kind.weight();
                if also == hash {
                    agreement.same += kind.weight();
                }
            }
        }
        agreement
    }

    /// Whether a machine that still has its state directory is the one that had it: at least half of what both tell is
    /// the same. Where nothing can be compared, the directory alone says so.
    pub(crate) fn continues(&self, former: &Self) -> bool {
        let Agreement { told, same } = self.agreement(former);
        same * 2 >= told
    }

    /// How surely a machine without its state directory is a known one; `None`: it is not.
    pub(crate) fn evidence(&self, former: &Self) -> Option<u32> {
        let Agreement { told, same } = self.agreement(former);
        (same >= EVIDENCE && same * 2 >= told).then_some(same)
    }
}

/// What is known of a node's machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) attributes: Attributes,
    /// Why an operator is asked about it; empty: nobody is.
    pub(crate) concern: String,
    /// An operator said that it may change.
    pub(crate) is_approved: bool,
}

/// What a machine is that speaks for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recognition {
    /// The one that is known.
    Same,
    /// The one that is known, with other parts: they are to be remembered.
    Learn,
    /// Another one.
    Changed,
}

impl Stored {
    /// Compares with what the machine tells now.
    pub(crate) fn recognise(&self, told: &Attributes) -> Recognition {
        let is_doubted = self.concern == "IdentityChanged";
        if told.0.is_empty() || (*told == self.attributes && !is_doubted) {
            // An agent that tells nothing is an old one, or its machine has nothing to tell.
            Recognition::Same
        } else if told.continues(&self.attributes) || self.is_approved {
            Recognition::Learn
        } else {
            Recognition::Changed
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pairs: &[(Kind, u8)]) -> Attributes {
        Attributes(
            pairs
                .iter()
                .map(|(kind, value)| (*kind, format!("{value:02x}").repeat(32)))
                .collect(),
        )
    }

    fn whole(value: u8) -> Attributes {
        of(&KINDS.map(|kind| (kind, value)))
    }

    fn with(mut of: Attributes, kind: Kind, value: u8) -> Attributes {
        of.0.insert(kind, format!("{value:02x}").repeat(32));
        of
    }

    #[test]
    fn one_part_may_change() {
        for kind in KINDS {
            assert!(with(whole(1), kind, 2).continues(&whole(1)), "{kind:?}");
            assert!(with(whole(1), kind, 2).evidence(&whole(1)).is_some(), "{kind:?}");
        }
    }

    #[test]
    fn a_copied_disk_in_another_machine_is_not_the_machine() {
        let copy = with(with(whole(2), Kind::MachineId, 1), Kind::Disk, 1);
        assert!(!copy.continues(&whole(1)));
        assert_eq!(copy.evidence(&whole(1)), None);
    }

    #[test]
    fn a_new_system_on_the_same_machine_is_the_machine() {
        assert!(with(whole(1), Kind::MachineId, 2).evidence(&whole(1)).is_some());
    }

    #[test]
    fn containers_of_one_image_are_different_machines() {
        let (one, other) = (of(&[(Kind::MachineId, 1)]), of(&[(Kind::MachineId, 1)]));
        assert_eq!(one.evidence(&other), None);
        // Each with its own state directory goes on being itself.
        assert!(one.continues(&other));
    }

    #[test]
    fn what_is_no_hash_or_no_known_kind_is_not_looked_at() {
        let told: BTreeMap<String, String> = [
            ("machine-id", "AB".repeat(32)),
            ("mac", "short".to_owned()),
            ("shoe-size", "ab".repeat(32)),
        ]
        .map(|(kind, hash)| (kind.to_owned(), hash))
        .into();
        assert_eq!(Attributes::read(&told), of(&[(Kind::MachineId, 0xab)]));
    }

    #[test]
    fn a_changed_machine_is_learned_only_with_an_operators_leave() {
        let stored = |is_approved| Stored {
            attributes: whole(1),
            concern: String::new(),
            is_approved,
        };
        assert_eq!(stored(false).recognise(&whole(1)), Recognition::Same);
        assert_eq!(stored(false).recognise(&Attributes::default()), Recognition::Same);
        assert_eq!(
            stored(false).recognise(&with(whole(1), Kind::Disk, 2)),
            Recognition::Learn
        );
        assert_eq!(stored(false).recognise(&whole(2)), Recognition::Changed);
        assert_eq!(stored(true).recognise(&whole(2)), Recognition::Learn);
        assert_eq!(
            Stored::default().recognise(&whole(2)),
            Recognition::Learn,
            "nothing was known"
        );
    }

    fn any_attributes() -> impl Strategy<Value = Attributes> {
        prop::collection::vec((0_usize..KINDS.len(), 0_u8..3), 0..8).prop_map(|pairs| {
            of(&pairs
                .into_iter()
                .map(|(kind, value)| (KINDS[kind], value))
                .collect::<Vec<_>>())
        })
    }

    proptest! {
        #[test]
        fn a_machine_is_always_itself(machine in any_attributes()) {
            prop_assert!(machine.continues(&machine));
        }

        #[test]
        fn both_sides_see_it_the_same(one in any_attributes(), other in any_attributes()) {
            prop_assert_eq!(one.continues(&other), other.continues(&one));
            prop_assert_eq!(one.evidence(&other), other.evidence(&one));
        }

        #[test]
        fn more_that_agrees_never_makes_it_another_machine(
            one in any_attributes(), other in any_attributes(), kind in 0_usize..KINDS.len(),
        ) {
            let kind = KINDS[kind];
            prop_assume!(!one.0.contains_key(&kind) && !other.0.contains_key(&kind));
            let (more, also) = (with(one.clone(), kind, 9), with(other.clone(), kind, 9));
            prop_assert!(!one.continues(&other) || more.continues(&also));
            prop_assert!(one.evidence(&other) <= more.evidence(&also));
        }

        #[test]
        fn evidence_is_never_less_than_continuing(one in any_attributes(), other in any_attributes()) {
            prop_assert!(one.evidence(&other).is_none() || one.continues(&other));
        }
    }
}
