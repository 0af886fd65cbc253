//! Secrets of access keys: how they are made, kept and compared.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

const SECRET_BYTES: usize = 30;

/// The secret of an access key: 40 characters. It cannot be printed, and it is wiped from memory.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A new one, of 240 random bits.
    pub(crate) fn random() -> Self {
        let mut bytes: [u8; SECRET_BYTES] = rand::random();
        let text = Zeroizing::new(STANDARD.encode(bytes));
        bytes.zeroize();
        Self(text)
    }

    /// One that came from a caller.
    pub(crate) fn given(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the one answer that shows it and for signing keys.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the two are the same. How long it takes says nothing about where they differ.
    pub(crate) fn is(&self, other: &Self) -> bool {
        // Hashes have one length, and nobody who guesses can choose how theirs begins.
        let (one, two) = (Sha256::digest(self.0.as_bytes()), Sha256::digest(other.0.as_bytes()));
        let difference = one.iter().zip(two.iter()).fold(0_u8, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A key that encrypts secrets. It cannot be printed.
#[derive(Clone)]
pub(crate) struct SealingKey {
    pub(crate) id: String,
    bytes: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

/// A stored secret that this key does not open: it was altered, moved to another access key, or encrypted by another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret cannot be decrypted: it was altered, or the key file is another one")]
pub(crate) struct SealError;

impl SealingKey {
    pub(crate) fn new(id: String, bytes: [u8; 32]) -> Self {
        Self {
            id,
            bytes: Zeroizing::new(bytes),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, self.bytes.as_slice()).expect("the key has 32 bytes");
        LessSafeKey::new(key)
    }

    /// Encrypts the secret of this access key.
    pub(crate) fn seal(&self, access_key_id: &str, secret: &Secret) -> String {
        // Random: two nonces of a key meet after some 2^48 secrets, and there are thousands.
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut text = secret.0.as_bytes().to_vec();
        self.cipher()
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(access_key_id.as_bytes()),
                &mut text,
            )
            .expect("a secret is short");
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&text);
        STANDARD.encode(sealed)
    }

    /// Decrypts what [`SealingKey::seal`] made for the same access key.
    pub(crate) fn open(&self, access_key_id: &str, sealed: &str) -> Result<Secret, SealError> {
        let sealed = STANDARD.decode(sealed).map_err(|_| SealError)?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError)?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from(access_key_id.as_bytes());
        let opened = self.cipher().open_in_place(nonce, aad, &mut text);
        let opened = opened.map_err(|_| SealError)?;
        let secret = std::str::from_utf8(opened).map_err(|_| SealError)?;
        Ok(Secret::given(secret.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "MKIAABCDEFGHIJKLMNOP";

    fn key(byte: u8) -> SealingKey {
        SealingKey::new(format!("k{byte}"), [byte; 32])
    }

    #[test]
    fn a_secret_has_forty_characters_and_no_printed_form() {
        let secret = Secret::random();
        assert_eq!(secret.reveal().len(), 40);
        assert!(!format!("{secret:?}").contains(secret.reveal()));
        assert!(!secret.is(&Secret::random()));
        assert!(secret.is(&Secret::given(secret.reveal().to_owned())));
        let key = SealingKey::new("k".to_owned(), *b"0123456789abcdef0123456789abcdef");
        assert!(!format!("{key:?}").contains("0123"));
    }

    #[test]
    fn only_its_key_and_its_access_key_open_a_sealed_secret() {
        let secret = Secret::random();
        let sealed = key(1).seal(ID, &secret);
        assert!(!sealed.contains(secret.reveal()));
        assert!(key(1).open(ID, &sealed).unwrap().is(&secret));
        assert!(key(2).open(ID, &sealed).is_err());
        assert!(key(1).open("MKIAABCDEFGHIJKLMNOQ", &sealed).is_err());
        assert_ne!(sealed, key(1).seal(ID, &secret), "the nonce is another one each time");
    }

    proptest! {
        #[test]
        fn an_altered_secret_is_never_opened(at in 0_usize..68, bit in 0_u32..8) {
            let sealed = key(1).seal(ID, &Secret::random());
            let mut bytes = STANDARD.decode(sealed).unwrap();
            bytes[at] ^= 1 << bit;
            prop_assert!(key(1).open(ID, &STANDARD.encode(bytes)).is_err());
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = key(1).open(ID, &text);
        }
    }
}
