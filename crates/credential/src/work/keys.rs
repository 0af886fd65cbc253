//! The keys whose work a node carries out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Signature;
use crate::{Key, KeyKind, Proof, PublicKey, Purpose};

/// Most keys in a set: one that signs, and those that did or will.
const MOST: usize = 8;

/// Keys that vouch for work. The first of them signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkKeys {
    /// Grows with each change.
    serial: u64,
    keys: Vec<PublicKey>,
}

/// As people and settings write it: `1:V…,V…`.
impl fmt::Display for WorkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.keys.iter().map(PublicKey::as_str).collect();
        write!(f, "{}:{}", self.serial, keys.join(","))
    }
}

impl FromStr for WorkKeys {
    type Err = ChangeError;

    fn from_str(text: &str) -> Result<Self, ChangeError> {
        let (serial, keys) = text.trim().split_once(':').ok_or(ChangeError::Keys)?;
        let serial = serial.parse().map_err(|_| ChangeError::Keys)?;
        let keys: Result<_, _> = keys.split(',').map(str::parse).collect();
        Self::new(serial, keys.map_err(|_| ChangeError::Keys)?)
    }
}

/// Another set of keys, vouched for by a key of the set before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkKeysChange {
    /// What holds after it.
    pub keys: WorkKeys,
    /// Who says so.
    pub signed_by: PublicKey,
    /// Its signature, base64 for URLs without padding.
    pub signature: String,
}

/// Why a set of keys is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Not a set of 1 to 8 work keys.
    #[error("it is no set of 1 to {MOST} work keys")]
    Keys,
    /// It is no change of what is known.
    #[error("it is not newer than what is known")]
    Old,
    /// Nobody who may has signed it.
    #[error("it is not signed by a key that is known")]
    Unsigned,
}

/// Why a message for a node is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// There is no signature.
    #[error("it is not signed")]
    Unsigned,
    /// The signature is none.
    #[error("its signature is not understood")]
    Strange,
    /// It is the signature of somebody else.
    #[error("it is signed by {0}, which this node does not know")]
    Stranger(PublicKey),
    /// It was changed after it was signed, or is meant for another node.
    #[error("its signature is not that of this message for this node: it was altered on its way")]
    Altered,
}

impl WorkKeys {
    /// A set as somebody tells it.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(serial: u64, keys: Vec<PublicKey>) -> Result<Self, ChangeError> {
        let is_good = (1..=MOST).contains(&keys.len()) && keys.iter().all(|key| key.kind() == KeyKind::Work);
        match is_good && serial > 0 {
            true => Ok(Self { serial, keys }),
            false => Err(ChangeError::Keys),
        }
    }

    /// Which change it came by; 1 for the first set.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The keys; the first of them signs.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The key that signs.
    #[must_use]
    pub fn signer(&self) -> Option<&PublicKey> {
        self.keys.first()
    }

    /// Vouches for this set, as `key`, which must be one of the set before it.
    #[must_use]
    pub fn signed(self, key: &Key) -> WorkKeysChange {
        let signature = Proof::sign(key, Purpose::WorkKeys, &self.parts(&self.serial.to_be_bytes())).to_text();
        WorkKeysChange {
            keys: self,
            signed_by: key.public().clone(),
            signature,
        }
    }

    /// Takes a change.
    ///
    /// # Errors
    /// If it is old, or nobody who may has signed it. Then nothing is changed.
    pub fn apply(&mut self, change: &WorkKeysChange) -> Result<(), ChangeError> {
        let WorkKeysChange {
            keys,
            signed_by,
            signature,
        } = change;
        // It may have been read from a file or a message as it was.
        let keys = Self::new(keys.serial, keys.keys.clone())?;
        if keys.serial <= self.serial {
            return Err(ChangeError::Old);
        }
        let proof = Proof::from_text(signature).ok_or(ChangeError::Unsigned)?;
        let serial = keys.serial.to_be_bytes();
        let is_known = self.keys.contains(signed_by);
        if !is_known || !proof.holds(signed_by, Purpose::WorkKeys, &keys.parts(&serial)) {
            return Err(ChangeError::Unsigned);
        }
        *self = keys;
        Ok(())
    }

    /// Whether a message for a node comes from whom it should. `signature` is the text of its header.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn check(
        &self,
        signature: Option<&str>,
        purpose: Purpose,
        node: &str,
        message: &[u8],
        nonce: &[u8],
    ) -> Result<(), Distrust> {
        let signature: Signature = match signature {
            None => return Err(Distrust::Unsigned),
            Some(text) => text.parse().map_err(|_| Distrust::Strange)?,
        };
        if !self.keys.contains(signature.key()) {
            return Err(Distrust::Stranger(signature.key().clone()));
        }
        match signature.holds(purpose, node, message, nonce) {
            true => Ok(()),
            false => Err(Distrust::Altered),
        }
    }

    fn parts<'a>(&'a self, serial: &'a [u8; 8]) -> Vec<&'a [u8]> {
        let keys = self.keys.iter().map(|key| key.as_str().as_bytes());
        std::iter::once(serial.as_slice()).chain(keys).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::Digest;

    const NODE: &str = "mi-0123456789abcdef0";

    fn keys<const N: usize>() -> [Key; N] {
        std::array::from_fn(|_| Key::generate(KeyKind::Work))
    }

    fn set(serial: u64, keys: &[&Key]) -> WorkKeys {
        WorkKeys::new(serial, keys.iter().map(|key| key.public().clone()).collect()).unwrap()
    }

    #[test]
    fn a_set_is_read_as_it_is_written() {
        let [one, two] = [(); 2].map(|()| Key::generate(KeyKind::Work).public().clone());
        let keys = WorkKeys::new(3, vec![one.clone(), two]).unwrap();
        assert_eq!(keys.to_string().parse(), Ok(keys));
        let user = Key::generate(KeyKind::User).public().clone();
        for bad in [
            "",
            "1",
            "1:",
            &format!("0:{one}"),
            &format!("x:{one}"),
            &format!("1:{one},"),
            &format!("1:{user}"),
        ] {
            assert_eq!(bad.parse::<WorkKeys>(), Err(ChangeError::Keys), "{bad}");
        }
    }

    #[test]
    fn only_a_key_that_is_known_brings_others() {
        let [one, two, stranger] = keys();
        let mut pinned = set(1, &[&one]);
        let known = pinned.clone();
        for bad in [
            set(2, &[&one, &two]).signed(&stranger),
            set(2, &[&one, &two]).signed(&two),
            set(1, &[&two]).signed(&one),
            WorkKeysChange {
                keys: set(2, &[&stranger]),
                ..set(2, &[&two]).signed(&one)
            },
            WorkKeysChange {
                keys: set(3, &[&two]),
                ..set(2, &[&two]).signed(&one)
            },
            WorkKeysChange {
                signature: String::new(),
                ..set(2, &[&two]).signed(&one)
            },
        ] {
            assert!(pinned.apply(&bad).is_err(), "{bad:?}");
            assert_eq!(pinned, known);
        }
        pinned.apply(&set(2, &[&one, &two]).signed(&one)).unwrap();
        pinned.apply(&set(4, &[&two]).signed(&two)).unwrap();
        // What is over does not come back.
        assert_eq!(pinned.apply(&set(2, &[&one, &two]).signed(&one)), Err(ChangeError::Old));
        assert_eq!(pinned.apply(&set(5, &[&one]).signed(&one)), Err(ChangeError::Unsigned));
    }

    #[test]
    fn a_message_is_believed_from_a_pinned_key_alone() {
        let [one, two, stranger] = keys();
        let pinned = set(1, &[&one, &two]);
        let sign = |key: &Key| Signature::make(key, Purpose::WorkItem, NODE, Digest::of(b"x"), b"").to_string();
        let check =
            |text: Option<&str>, node: &str, message: &[u8]| pinned.check(text, Purpose::WorkItem, node, message, b"");
        assert_eq!(check(Some(&sign(&one)), NODE, b"x"), Ok(()));
        assert_eq!(check(Some(&sign(&two)), NODE, b"x"), Ok(()));
        assert_eq!(check(None, NODE, b"x"), Err(Distrust::Unsigned));
        assert_eq!(check(Some("x"), NODE, b"x"), Err(Distrust::Strange));
        assert_eq!(check(Some(&sign(&one)), NODE, b"y"), Err(Distrust::Altered));
        assert_eq!(
            check(Some(&sign(&one)), "mi-0123456789abcdef1", b"x"),
            Err(Distrust::Altered)
        );
        let unknown = Distrust::Stranger(stranger.public().clone());
        assert_eq!(check(Some(&sign(&stranger)), NODE, b"x"), Err(unknown));
        // A key may not be taken for another by putting its name on the signature.
        let borrowed = sign(&stranger).replace(stranger.public().as_str(), one.public().as_str());
        assert_eq!(check(Some(&borrowed), NODE, b"x"), Err(Distrust::Altered));
    }

    #[test]
    fn sets_that_are_none_are_refused() {
        let user = Key::generate(KeyKind::User).public().clone();
        let [work] = keys();
        let work = work.public().clone();
        assert!(WorkKeys::new(1, Vec::new()).is_err());
        assert!(WorkKeys::new(1, vec![user]).is_err());
        assert!(WorkKeys::new(0, vec![work.clone()]).is_err());
        assert!(WorkKeys::new(1, vec![work; 9]).is_err());
    }
}
