//! Signatures over what is not a claim: registrations, renewals, work.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Key, PublicKey};

/// What a signature is for. It is part of what is signed, so one made for a renewal is not good for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A machine shows that it holds the key that it registers.
    Registration,
    /// A node asks for new claims.
    Renewal,
    /// A node changes its key: signed by the old and by the new one.
    Rotation,
    /// The coordinator vouches for a work item.
    WorkItem,
    /// The coordinator vouches for a cancel.
    Cancel,
    /// The coordinator vouches for its answer to a node that asked for its work, which holds the time.
    PullAnswer,
    /// A key that vouches for work hands over to other keys.
    WorkKeys,
    /// A key that vouches for work vouches for the key that a service signs answers with.
    AnswerKey,
    /// A service vouches for what it answers to a step that asks.
    Answer,
}

impl Purpose {
    /// What stands before the signed bytes. Ends in a byte that no label has, so that no label begins another.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Registration => b"muster/v1/registration\0",
            Self::Renewal => b"muster/v1/renewal\0",
            Self::Rotation => b"muster/v1/rotation\0",
            Self::WorkItem => b"muster/v1/work-item\0",
            Self::Cancel => b"muster/v1/cancel\0",
            Self::PullAnswer => b"muster/v1/pull-answer\0",
            Self::WorkKeys => b"muster/v1/work-keys\0",
            Self::AnswerKey => b"muster/v1/answer-key\0",
            Self::Answer => b"muster/v1/answer\0",
        }
    }

    fn bytes(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = self.label().to_vec();
        for part in parts {
            // With its length before it no part can lend bytes to the next.
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// A signature for one purpose, 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof(Vec<u8>);

impl Proof {
    /// Signs these parts, in this order, for this purpose.
    #[must_use]
    pub fn sign(key: &Key, purpose: Purpose, parts: &[&[u8]]) -> Self {
        Self(key.sign(&purpose.bytes(parts)))
    }

    /// Whether it is the signature of this key over the same parts for the same purpose.
    #[must_use]
    pub fn holds(&self, key: &PublicKey, purpose: Purpose, parts: &[&[u8]]) -> bool {
        key.verifies(&purpose.bytes(parts), &self.0)
    }

    /// A signature that came in a message; whether it is one shows when it is checked.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// A signature as [`Proof::to_text`] writes it; nothing if the text is none.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its text, base64 for URLs without padding.
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::KeyKind;

    #[test]
    fn a_proof_is_good_for_its_purpose_and_its_parts_only() {
        let (key, other) = (Key::generate(KeyKind::User), Key::generate(KeyKind::User));
        let proof = Proof::sign(&key, Purpose::Registration, &[b"activation", b"key"]);
        assert!(proof.holds(key.public(), Purpose::Registration, &[b"activation", b"key"]));
        assert!(!proof.holds(key.public(), Purpose::Renewal, &[b"activation", b"key"]));
        assert!(!proof.holds(other.public(), Purpose::Registration, &[b"activation", b"key"]));
        assert!(!proof.holds(key.public(), Purpose::Registration, &[b"activationk", b"ey"]));
        assert!(!proof.holds(key.public(), Purpose::Registration, &[b"activation"]));
        assert!(!Proof::from_bytes(b"").holds(key.public(), Purpose::Registration, &[]));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(mut item in proptest::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index) {
            let key = Key::generate(KeyKind::Account);
            let proof = Proof::sign(&key, Purpose::WorkItem, &[&item]);
            prop_assert!(proof.holds(key.public(), Purpose::WorkItem, &[&item]));
            let at = at.index(item.len());
            item[at] ^= 1;
            prop_assert!(!proof.holds(key.public(), Purpose::WorkItem, &[&item]));
        }
    }
}
