//! Whether a machine is the one that it was (agent.md B8).
//!
//! A machine tells what stays the same on it, each as a hash, so that nothing of it can be read here. Parts may change
//! one at a time without making it another machine; a copy of its disk on other hardware is one. Its address and the
//! version of its system are no part of it. Whoever tells less than is known has changed as much.

use std::collections::BTreeMap;

use super::claim;

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

/// So much must agree before a machine is taken for a known one without the state directory that it had: more than all
/// that others can find out without being root on it, which are the system's id, the network card and the disk.
const EVIDENCE: u32 = 60;
/// So much must agree before an operator is asked whether it is a known one: more than the system's id alone, which all
/// copies of an image share, or than a disk or a network card that went into another machine.
const SUSPICION: u32 = 45;

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
            Self::ProductUuid => 40,
            Self::MachineId => 30,
            Self::ProductSerial | Self::BoardSerial => 20,
            Self::Mac => 15,
            Self::Disk => 10,
        }
    }
}

/// What a machine tells of itself: hashes in hexadecimal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes(pub(crate) BTreeMap<Kind, String>);

/// How what is told compares with what is known, in weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Agreement {
    /// Of all that is known.
    known: u32,
    /// Of what is the same.
    same: u32,
}

/// How surely a machine without its state directory is a known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Evidence {
    /// It may be: somebody must say so.
    Some(u32),
    /// It is.
    Enough(u32),
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

    fn agreement(&self, former: &Self) -> Agreement {
        let mut agreement = Agreement { known: 0, same: 0 };
        for (kind, hash) in &former.0 {
            agreement.known += kind.weight();
            if self.0.get(kind) == Some(hash) {
                agreement.same += kind.weight();
            }
        }
        agreement
    }

    /// Whether a machine that still has its state directory is the one that had it: at least half of what is known is
    /// the same. Where nothing is known, the directory alone says so.
    pub(crate) fn continues(&self, former: &Self) -> bool {
        let Agreement { known, same } = self.agreement(former);
        same * 2 >= known
    }

    /// How surely a machine without its state directory is a known one; `None`: it is not.
    pub(crate) fn evidence(&self, former: &Self) -> Option<Evidence> {
        let Agreement { known, same } = self.agreement(former);
        match same {
            _ if same * 2 < known => None,
            EVIDENCE.. => Some(Evidence::Enough(same)),
            SUSPICION.. => Some(Evidence::Some(same)),
            _ => None,
        }
    }

    /// What is known of a machine when it has told this. What it does not tell any more stays known: a machine that tells
    /// less each time would otherwise be any machine in the end.
    pub(crate) fn over(&self, former: &Self) -> Self {
        let mut known = former.0.clone();
        known.extend(self.0.clone());
        Self(known)
    }
}

/// What is known of a node's machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) attributes: Attributes,
    /// Why an operator is asked about it; empty: nobody is.
    pub(crate) concern: String,
    /// The fingerprint of the parts to which an operator gave leave; empty: none.
    pub(crate) approved: String,
}

/// What a machine is that speaks for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recognition {
    /// The one that is known.
    Same,
    /// The one that is known, with other parts: this is to be remembered.
    Learn(Attributes),
    /// Another one.
    Changed {
        /// Of its parts.
        fingerprint: String,
    },
}

impl Stored {
    /// Compares with what the machine tells now.
    pub(crate) fn recognise(&self, told: &Attributes) -> Recognition {
        let fingerprint = claim::of_parts(told);
        if fingerprint == self.approved {
            return Recognition::Learn(told.clone());
        }
        if !told.continues(&self.attributes) {
            return Recognition::Changed { fingerprint };
        }
        let is_doubted = self.concern == "IdentityChanged";
        let known = told.over(&self.attributes);
        match known == self.attributes && !is_doubted {
            true => Recognition::Same,
            false => Recognition::Learn(known),
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
            let evidence = with(whole(1), kind, 2).evidence(&whole(1));
            assert!(matches!(evidence, Some(Evidence::Enough(_))), "{kind:?}");
        }
    }

    #[test]
    fn what_others_can_find_out_is_never_enough() {
        // Every user of the machine reads these, neighbours in the network see one, and copies of the disk hold one.
        let open = [Kind::MachineId, Kind::Mac, Kind::Disk];
        for known in [whole(1), of(&open.map(|kind| (kind, 1)))] {
            let evidence = of(&open.map(|kind| (kind, 1))).evidence(&known);
            assert!(!matches!(evidence, Some(Evidence::Enough(_))), "{evidence:?}");
        }
        let both = [(Kind::MachineId, 1), (Kind::Mac, 1)];
        assert_eq!(
            of(&both).evidence(&of(&both)),
            Some(Evidence::Some(45)),
            "somebody is asked"
        );
    }

    #[test]
    fn whoever_tells_nothing_any_more_has_changed() {
        assert!(!Attributes::default().continues(&whole(1)));
        assert!(
            Attributes::default().continues(&Attributes::default()),
            "nothing was ever told"
        );
        // Nor does it help to tell less each time.
        let mut stored = Stored {
            attributes: whole(1),
            ..Stored::default()
        };
        let less = of(&[(Kind::ProductUuid, 1), (Kind::MachineId, 1)]);
        assert_eq!(stored.recognise(&less), Recognition::Same, "what is known stays known");
        let one_new = with(less, Kind::Disk, 2);
        let Recognition::Learn(known) = stored.recognise(&one_new) else {
            panic!("one part is another one");
        };
        assert_eq!(known, with(whole(1), Kind::Disk, 2));
        stored.attributes = known;
        assert!(matches!(
            stored.recognise(&of(&[(Kind::MachineId, 1)])),
            Recognition::Changed { .. }
        ));
    }

    #[test]
    fn a_copied_disk_in_another_machine_is_not_the_machine() {
        let copy = with(with(whole(2), Kind::MachineId, 1), Kind::Disk, 1);
        assert!(!copy.continues(&whole(1)));
        assert_eq!(copy.evidence(&whole(1)), None);
    }

    #[test]
    fn a_new_system_on_the_same_machine_is_the_machine() {
        let evidence = with(whole(1), Kind::MachineId, 2).evidence(&whole(1));
        assert!(matches!(evidence, Some(Evidence::Enough(_))));
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
    fn a_changed_machine_is_learned_only_with_an_operators_leave_for_its_parts() {
        let stored = |approved: &Attributes| Stored {
            attributes: whole(1),
            concern: String::new(),
            approved: claim::of_parts(approved),
        };
        let none = Attributes::default();
        assert_eq!(stored(&none).recognise(&whole(1)), Recognition::Same);
        let one_new = with(whole(1), Kind::Disk, 2);
        assert_eq!(stored(&none).recognise(&one_new), Recognition::Learn(one_new.clone()));
        let changed = Recognition::Changed {
            fingerprint: claim::of_parts(&whole(2)),
        };
        assert_eq!(stored(&none).recognise(&whole(2)), changed);
        assert_eq!(stored(&whole(2)).recognise(&whole(2)), Recognition::Learn(whole(2)));
        assert!(
            matches!(stored(&whole(2)).recognise(&whole(3)), Recognition::Changed { .. }),
            "the leave was for another machine"
        );
        assert_eq!(
            Stored::default().recognise(&whole(2)),
            Recognition::Learn(whole(2)),
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
        fn to_tell_less_never_helps(
            told in any_attributes(), known in any_attributes(), kind in 0_usize..KINDS.len(),
        ) {
            let mut less = told.clone();
            less.0.remove(&KINDS[kind]);
            prop_assert!(told.continues(&known) || !less.continues(&known));
            prop_assert!(less.evidence(&known) <= told.evidence(&known));
        }

        #[test]
        fn nothing_known_is_forgotten_without_leave(told in any_attributes(), known in any_attributes()) {
            let stored = Stored { attributes: known.clone(), ..Stored::default() };
            if let Recognition::Learn(learned) = stored.recognise(&told) {
                prop_assert!(known.0.keys().all(|kind| learned.0.contains_key(kind)));
                prop_assert!(told.0.iter().all(|(kind, hash)| learned.0.get(kind) == Some(hash)));
            }
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
