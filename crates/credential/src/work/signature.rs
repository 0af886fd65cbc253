//! What the coordinator puts on a message for a node.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::{Key, KeyKind, Proof, PublicKey, Purpose};

/// SHA-256 over the bytes of a message. Messages that begin alike share the work of their beginning.
#[derive(Clone, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::default().and(bytes)
    }

    /// Of the bytes so far and these behind them.
    #[must_use]
    pub fn and(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// A signature over a message for one node, with the key that made it.
///
/// It covers the purpose, the node, the digest of the message's bytes exactly as they are sent, and the nonce of the
/// question where the message is an answer. The bytes are not taken apart before it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    key: PublicKey,
    proof: Proof,
}

/// A text that is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no signature: a work key, a blank and a signature in base64 are")]
pub struct NoSignature;

impl Signature {
    /// The NATS header that carries it.
    pub const HEADER: &str = "muster-signature";

    /// Signs a message for a node. `nonce` is empty unless the message is an answer.
    #[must_use]
    pub fn make(key: &Key, purpose: Purpose, node: &str, message: Digest, nonce: &[u8]) -> Self {
        let digest = message.0.finalize();
        Self {
            key: key.public().clone(),
            proof: Proof::sign(key, purpose, &[node.as_bytes(), &digest, nonce]),
        }
    }

    /// Signs parts of another kind.
    pub(super) fn over(key: &Key, purpose: Purpose, parts: &[&[u8]]) -> Self {
        Self {
            key: key.public().clone(),
            proof: Proof::sign(key, purpose, parts),
        }
    }

    /// Whether its key has signed these parts.
    pub(super) fn holds_over(&self, purpose: Purpose, parts: &[&[u8]]) -> bool {
        self.proof.holds(&self.key, purpose, parts)
    }

    /// Whose it says it is.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether its key has signed exactly this for this node. Whether the key counts is another question.
    #[must_use]
    pub fn holds(&self, purpose: Purpose, node: &str, message: &[u8], nonce: &[u8]) -> bool {
        let digest = Digest::of(message).0.finalize();
        self.proof.holds(&self.key, purpose, &[node.as_bytes(), &digest, nonce])
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.proof.to_text())
    }
}

impl FromStr for Signature {
    type Err = NoSignature;

    fn from_str(text: &str) -> Result<Self, NoSignature> {
        let (key, proof) = text.split_once(' ').ok_or(NoSignature)?;
        let key = key.parse::<PublicKey>().and_then(|key| key.of_kind(KeyKind::Work));
        Ok(Self {
            key: key.map_err(|_| NoSignature)?,
            proof: Proof::from_text(proof).ok_or(NoSignature)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NODE: &str = "mi-0123456789abcdef0";

    #[test]
    fn a_signature_is_good_for_one_node_one_purpose_and_one_question() {
        let key = Key::generate(KeyKind::Work);
        let made = Signature::make(&key, Purpose::WorkItem, NODE, Digest::of(b"run this"), b"");
        let read: Signature = made.to_string().parse().unwrap();
        assert_eq!(read, made);
        assert!(read.holds(Purpose::WorkItem, NODE, b"run this", b""));
        assert!(!read.holds(Purpose::WorkItem, "mi-0123456789abcdef1", b"run this", b""));
        assert!(!read.holds(Purpose::Cancel, NODE, b"run this", b""));
        assert!(!read.holds(Purpose::WorkItem, NODE, b"run this", b"1"));
    }

    #[test]
    fn a_digest_in_pieces_is_that_of_the_whole() {
        let key = Key::generate(KeyKind::Work);
        let digest = Digest::of(b"run ").and(b"this");
        let made = Signature::make(&key, Purpose::WorkItem, NODE, digest, b"");
        assert!(made.holds(Purpose::WorkItem, NODE, b"run this", b""));
    }

    #[test]
    fn texts_and_keys_of_another_kind_are_no_signatures() {
        let user = Key::generate(KeyKind::User);
        let of_a_user = Signature::make(&user, Purpose::WorkItem, NODE, Digest::of(b"x"), b"").to_string();
        let work = Key::generate(KeyKind::Work);
        let without_proof = format!("{} ?", work.public());
        for text in ["", " ", "x y", &of_a_user, &without_proof, work.public().as_str()] {
            assert_eq!(text.parse::<Signature>(), Err(NoSignature), "{text}");
        }
        let empty: Signature = format!("{} ", work.public()).parse().unwrap();
        assert!(!empty.holds(Purpose::WorkItem, NODE, b"x", b""));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_changed_bit_of_message_or_signature_is_noticed(
            mut message in proptest::collection::vec(any::<u8>(), 1..300),
            at: prop::sample::Index,
            bit in 0..8u8,
        ) {
            let key = Key::generate(KeyKind::Work);
            let made = Signature::make(&key, Purpose::WorkItem, NODE, Digest::of(&message), b"");
            prop_assert!(made.holds(Purpose::WorkItem, NODE, &message, b""));
            let mut proof = made.proof.as_bytes().to_vec();
            let place = at.index(proof.len());
            proof[place] ^= 1 << bit;
            let bent = Signature { key: made.key.clone(), proof: Proof::from_bytes(&proof) };
            prop_assert!(!bent.holds(Purpose::WorkItem, NODE, &message, b""));
            let place = at.index(message.len());
            message[place] ^= 1 << bit;
            prop_assert!(!made.holds(Purpose::WorkItem, NODE, &message, b""));
        }
    }
}
