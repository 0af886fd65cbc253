//! Answers that only the asker can read (parameter-store 10): TLS ends at each NATS server, and secrets do not.
//!
//! The asker makes an X25519 key for one question and shows its public half; whoever answers makes another for one answer.
//! What both agree on gives, by HKDF-SHA-256, a key for AES-256-GCM that is used once.
//! Nobody is named by it: the answer is signed besides.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

/// Bytes of a public key.
const PUBLIC: usize = 32;
/// What the keys are for: no key of another use is ever the same.
const USE: &[u8] = b"muster/v1/sealed\0";

/// It cannot be sealed or opened: a key is none, or the text was altered, or is for somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be sealed or opened: it is for another key, or was altered")]
pub struct SealError;

/// Who asked: the key that opens one answer.
pub struct Recipient {
    private: EphemeralPrivateKey,
    public: Vec<u8>,
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient(…)")
    }
}

impl Recipient {
    /// A key for one question.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn make() -> Result<Self, SealError> {
        let (private, public) = make()?;
        Ok(Self { private, public })
    }

    /// What the question shows, 32 bytes.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Opens the answer. `context` is what both know of it: the node that asked.
    ///
    /// # Errors
    /// If it was not sealed for this key and this context, or altered.
    pub fn open(self, sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (sender, body) = sealed.split_at_checked(PUBLIC).ok_or(SealError)?;
        let key = agree(self.private, sender, &[sender, &self.public])?;
        let mut bytes = Zeroizing::new(body.to_vec());
        let length = key
            .open_in_place(once(), Aad::from(context), &mut bytes)
            .map_err(|_| SealError)?
            .len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// Seals an answer for whoever shows this public key.
///
/// # Errors
/// If the key is none, or the system has no randomness.
pub fn seal(recipient: &[u8], message: &[u8], context: &[u8]) -> Result<Vec<u8>, SealError> {
    let (private, public) = make()?;
    let key = agree(private, recipient, &[&public, recipient])?;
    let mut bytes = Zeroizing::new(message.to_vec());
    let tag = key.seal_in_place_separate_tag(once(), Aad::from(context), &mut bytes);
    let tag = tag.map_err(|_| SealError)?;
    Ok([public.as_slice(), &bytes, tag.as_ref()].concat())
}

fn make() -> Result<(EphemeralPrivateKey, Vec<u8>), SealError> {
    let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).map_err(|_| SealError)?;
    let public = private.compute_public_key().map_err(|_| SealError)?;
    Ok((private, public.as_ref().to_vec()))
}

/// The key for one message between these two.
fn agree(private: EphemeralPrivateKey, other: &[u8], keys: &[&[u8]; 2]) -> Result<LessSafeKey, SealError> {
    let derived = agree_ephemeral(private, &UnparsedPublicKey::new(&X25519, other), |shared| {
        let secret = Salt::new(HKDF_SHA256, &[]).extract(shared);
        let info = [USE, keys[0], keys[1]];
        secret.expand(&info, &AES_256_GCM).map(UnboundKey::from)
    });
    match derived {
        Ok(Ok(key)) => Ok(LessSafeKey::new(key)),
        _ => Err(SealError),
    }
}

/// The nonce of a key that is used once.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_asker_opens_it_and_only_as_what_it_is() {
        let recipient = || Recipient::make().unwrap();
        let one = recipient();
        let sealed = seal(one.public(), b"hunter2", b"mi-1").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(*one.open(&sealed, b"mi-1").unwrap(), b"hunter2");
        let other = recipient();
        assert!(other.open(&sealed, b"mi-1").is_err());
        let two = recipient();
        let sealed = seal(two.public(), b"hunter2", b"mi-1").unwrap();
        assert!(two.open(&sealed, b"mi-2").is_err());
        // Keys that are none: too short, and the point whose secret everybody knows.
        assert!(seal(b"short", b"x", b"").is_err());
        assert!(seal(&[0; PUBLIC], b"x", b"").is_err());
        assert!(recipient().open(b"short", b"").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_changed_bit_is_noticed(message in proptest::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, bit in 0..8u8) {
            let recipient = Recipient::make().unwrap();
            let mut sealed = seal(recipient.public(), &message, b"mi-1").unwrap();
            let place = at.index(sealed.len());
            sealed[place] ^= 1 << bit;
            // The highest bit of the sender's key does not count in X25519; it does in what the key is made of.
            prop_assert!(recipient.open(&sealed, b"mi-1").is_err());
        }
    }
}
