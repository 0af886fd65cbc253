//! All changes of the keys that vouch for work, from the first on.
//!
//! A rotation is decided once, by whoever has the keys, and signed then: the times at which its steps come into force
//! stand beside them. So the coordinator needs no more than this text and the seed of the key that signs now.

use serde::{Deserialize, Serialize};

use super::keys::{ChangeError, WorkKeys, WorkKeysChange};
use crate::{Key, PublicKey};

/// The keys, how they came to be, and what is decided for later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyChain {
    /// Of this text.
    version: u32,
    first: WorkKeys,
    changes: Vec<Step>,
}

/// A change and when it comes into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Seconds since 1970.
    from: i64,
    change: WorkKeysChange,
}

/// How long the steps of a rotation are apart, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// From the announcement of the new key until it signs: nodes that are there learn of it meanwhile.
    pub announce: i64,
    /// From the announcement until the old keys do not count any more.
    pub keep: i64,
}

/// A chain that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The text is none.
    #[error("it is not understood")]
    Text(#[from] serde_json::Error),
    /// A later version wrote it.
    #[error("it is of version {0}, and this program knows version 1")]
    Version(u32),
    /// A change does not follow from what was before it.
    #[error("the change to serial {serial} does not follow from what is before it: {source}")]
    Broken {
        /// Of the change.
        serial: u64,
        /// Why.
        source: ChangeError,
    },
    /// The key at hand is not the one that signs.
    #[error("{0} is not the key that signs now")]
    Signer(PublicKey),
    /// The rotation before has not come so far that the next may begin.
    #[error("a rotation was begun, and its key signs in {0} seconds: wait until then")]
    UnderWay(i64),
}

impl KeyChain {
    /// One key from now on.
    ///
    /// # Errors
    /// If it is no work key.
    pub fn begin(key: &PublicKey) -> Result<Self, ChangeError> {
        Ok(Self {
            version: 1,
            first: WorkKeys::new(1, vec![key.clone()])?,
            changes: Vec::new(),
        })
    }

    /// Reads the text of a chain, and checks every link of it.
    ///
    /// # Errors
    /// If it is none, or does not hold.
    pub fn parse(text: &str) -> Result<Self, ChainError> {
        let chain: Self = serde_json::from_str(text)?;
        if chain.version != 1 {
            return Err(ChainError::Version(chain.version));
        }
        let broken = |serial| move |source| ChainError::Broken { serial, source };
        let first = WorkKeys::new(chain.first.serial(), chain.first.keys().to_vec());
        let mut keys = first.map_err(broken(chain.first.serial()))?;
        for step in &chain.changes {
            let serial = step.change.keys.serial();
            keys.apply(&step.change).map_err(broken(serial))?;
        }
        Ok(chain)
    }

    /// Its text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The keys that count at a moment, in seconds since 1970. The first of them signs.
    #[must_use]
    pub fn at(&self, now: i64) -> &WorkKeys {
        self.in_force(now).last().map_or(&self.first, |step| &step.change.keys)
    }

    /// The changes that whoever knows the set with this serial has missed.
    pub fn after(&self, serial: u64, now: i64) -> impl Iterator<Item = &WorkKeysChange> {
        let changes = self.in_force(now).map(|step| &step.change);
        changes.filter(move |change| change.keys.serial() > serial)
    }

    /// The keys that sign now or will: their seeds are needed.
    #[must_use]
    pub fn signers(&self, now: i64) -> Vec<&PublicKey> {
        let later = self.changes.iter().filter(|step| step.from > now);
        let sets = std::iter::once(self.at(now)).chain(later.map(|step| &step.change.keys));
        sets.filter_map(WorkKeys::signer).collect()
    }

    /// When old keys go and new ones sign, after a moment: the times of later changes with what they change to.
    pub fn later(&self, now: i64) -> impl Iterator<Item = (i64, &WorkKeys)> {
        let later = self.changes.iter().filter(move |step| step.from > now);
        later.map(|step| (step.from, &step.change.keys))
    }

    /// Lets another key take over: it is announced now, signs soon, and later it is the only one. `old` is the key that
    /// signs now. What was decided before for later gives way to this.
    ///
    /// # Errors
    /// If `old` does not sign now, or the key that signs is about to be another.
    pub fn rotate(&mut self, old: &Key, new: &Key, now: i64, rotation: Rotation) -> Result<(), ChainError> {
        let known = self.at(now).clone();
        if known.signer() != Some(old.public()) {
            return Err(ChainError::Signer(old.public().clone()));
        }
        let swap = self.later(now).find(|(_, keys)| keys.signer() != known.signer());
        if let Some((from, _)) = swap {
            return Err(ChainError::UnderWay(from - now));
        }
        // A node may have heard of a change that is dropped here, if a clock was fast: no serial is used twice.
        let last = self
            .changes
            .last()
            .map_or(self.first.serial(), |step| step.change.keys.serial());
        self.changes.retain(|step| step.from <= now);
        let new_key = new.public().clone();
        let mut others: Vec<PublicKey> = known.keys().to_vec();
        others.retain(|key| *key != new_key);
        let announced = others.iter().cloned().chain([new_key.clone()]);
        let signing = std::iter::once(new_key.clone()).chain(others.iter().cloned());
        let keep = rotation.keep.max(rotation.announce);
        let steps = [
            (now, announced.collect(), old),
            (now + rotation.announce, signing.collect(), old),
            (now + keep, vec![new_key], new),
        ];
        for (serial, (from, keys, signer)) in (last + 1..).zip(steps) {
            let keys = WorkKeys::new(serial, keys).map_err(|source| ChainError::Broken { serial, source })?;
            let change = keys.signed(signer);
            self.changes.push(Step { from, change });
        }
        Ok(())
    }

    fn in_force(&self, now: i64) -> impl Iterator<Item = &Step> {
        self.changes.iter().take_while(move |step| step.from <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyKind;

    const ROTATION: Rotation = Rotation {
        announce: 300,
        keep: 3_000,
    };

    fn key() -> Key {
        Key::generate(KeyKind::Work)
    }

    #[test]
    fn a_rotation_announces_then_signs_then_forgets() {
        let (one, two) = (key(), key());
        let mut chain = KeyChain::begin(one.public()).unwrap();
        chain.rotate(&one, &two, 1_000, ROTATION).unwrap();
        let chain = KeyChain::parse(&chain.to_text()).unwrap();
        let keys = |now| chain.at(now).keys().to_vec();
        let (first, second) = (one.public().clone(), two.public().clone());
        assert_eq!(keys(999), std::slice::from_ref(&first));
        assert_eq!(keys(1_000), [first.clone(), second.clone()]);
        assert_eq!(keys(1_300), [second.clone(), first]);
        assert_eq!(keys(4_000), std::slice::from_ref(&second));
        assert_eq!(chain.signers(4_000), [&second]);
        assert_eq!(chain.after(1, 1_299).count(), 1);
        assert_eq!(chain.after(3, 9_999).count(), 1);
    }

    #[test]
    fn a_node_that_was_away_for_several_rotations_finds_its_way() {
        let keys = [key(), key(), key()];
        let mut chain = KeyChain::begin(keys[0].public()).unwrap();
        let mut pinned = chain.at(0).clone();
        chain.rotate(&keys[0], &keys[1], 1_000, ROTATION).unwrap();
        chain.rotate(&keys[1], &keys[2], 2_000, ROTATION).unwrap();
        // The first rotation's end gave way to the second's, which forgets both old keys.
        assert_eq!(chain.at(2_300).keys().len(), 3);
        let chain = KeyChain::parse(&chain.to_text()).unwrap();
        for change in chain.after(pinned.serial(), 9_999) {
            pinned.apply(change).unwrap();
        }
        assert_eq!(&pinned, chain.at(9_999));
        assert_eq!(pinned.keys(), [keys[2].public().clone()]);
    }

    #[test]
    fn a_rotation_does_not_begin_in_the_middle_of_another_or_without_the_key() {
        let (one, two, three) = (key(), key(), key());
        let mut chain = KeyChain::begin(one.public()).unwrap();
        assert!(matches!(
            chain.rotate(&two, &three, 0, ROTATION),
            Err(ChainError::Signer(_))
        ));
        chain.rotate(&one, &two, 1_000, ROTATION).unwrap();
        assert!(matches!(
            chain.rotate(&one, &three, 1_100, ROTATION),
            Err(ChainError::UnderWay(200))
        ));
    }

    #[test]
    fn a_chain_that_was_tampered_with_is_not_taken() {
        let (one, two, stranger) = (key(), key(), key());
        let mut chain = KeyChain::begin(one.public()).unwrap();
        chain.rotate(&one, &two, 1_000, ROTATION).unwrap();
        let text = chain.to_text();
        let tampered = text.replace(two.public().as_str(), stranger.public().as_str());
        assert!(matches!(
            KeyChain::parse(&tampered),
            Err(ChainError::Broken { serial: 2, .. })
        ));
        assert!(matches!(
            KeyChain::parse(&text.replace("\"version\": 1", "\"version\": 2")),
            Err(ChainError::Version(2))
        ));
        assert!(KeyChain::parse("{}").is_err());
    }
}
