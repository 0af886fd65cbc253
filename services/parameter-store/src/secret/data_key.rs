//! The key of one version of a SecureString, and what it encrypts. None of it can be printed, all of it is wiped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::{Zeroize as _, Zeroizing};

use crate::domain::value::Value;
use crate::secret::provider::Wrapped;

/// Version of the stored form.
const FORM: u8 = 1;

/// Something encrypted that its key does not open: it was altered or moved, or encrypted with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an encrypted value cannot be decrypted: it was altered or moved, or its key is another one")]
pub(crate) struct OpenError;

/// 256 bits.
#[derive(Clone)]
pub(crate) struct DataKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(…)")
    }
}

impl DataKey {
    /// A new one.
    pub(crate) fn random() -> Self {
        let mut bytes: [u8; 32] = rand::random();
        let key = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        key
    }

    /// One that was unwrapped.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The key itself, for whoever wraps it.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, self.0.as_slice()).expect("the key has 32 bytes"))
    }

    /// Encrypts a text: nonce, text, tag.
    pub(crate) fn encrypt(&self, binding: &[u8], text: &[u8]) -> Vec<u8> {
        // Random: a key that wraps data keys may do so 2^32 times, a data key encrypts once.
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut bytes = Vec::with_capacity(text.len() + 16);
        bytes.extend_from_slice(text);
        self.cipher()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(binding), &mut bytes)
            .expect("a value is short");
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&bytes);
        sealed
    }

    /// Decrypts what [`DataKey::encrypt`] made with the same binding.
    pub(crate) fn decrypt(&self, binding: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(OpenError)?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .cipher()
            .open_in_place(nonce, Aad::from(binding), &mut text)
            .map_err(|_| OpenError)?
            .len();
        text.truncate(length);
        Ok(text)
    }

    /// Decrypts a value.
    pub(crate) fn open(&self, binding: &[u8], sealed: &[u8]) -> Result<Value, OpenError> {
        let text = self.decrypt(binding, sealed)?;
        let text = std::str::from_utf8(&text).map_err(|_| OpenError)?;
        Ok(Value::new(text.to_owned()))
    }
}

/// An encrypted value with its wrapped key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) wrapped: Wrapped,
    /// Nonce, text, tag.
    pub(crate) ciphertext: Vec<u8>,
}

impl Sealed {
    /// What a reader without decryption is shown. It stays the same when the key is wrapped anew.
    pub(crate) fn shown(ciphertext: &[u8]) -> String {
        let mut bytes = vec![FORM];
        bytes.extend_from_slice(ciphertext);
        STANDARD.encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_data_key_has_no_printed_form() {
        let key = DataKey::from_bytes(b"0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?}"), "DataKey(…)");
        assert!(DataKey::from_bytes(b"short").is_none());
    }

    #[test]
    fn only_its_key_and_its_place_open_a_value() {
        let key = DataKey::random();
        let sealed = key.encrypt(b"here", b"hunter2");
        assert_eq!(key.open(b"here", &sealed).unwrap().reveal(), "hunter2");
        assert!(key.open(b"there", &sealed).is_err());
        assert!(DataKey::random().open(b"here", &sealed).is_err());
        assert_ne!(
            sealed,
            key.encrypt(b"here", b"hunter2"),
            "the nonce is another one each time"
        );
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
    }

    proptest! {
        #[test]
        fn an_altered_value_is_never_opened(at in 0_usize..35, bit in 0_u32..8) {
            let key = DataKey::random();
            let mut sealed = key.encrypt(b"here", b"hunter2");
            prop_assert_eq!(sealed.len(), 35);
            sealed[at] ^= 1 << bit;
            prop_assert!(key.open(b"here", &sealed).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = DataKey::random().open(b"here", &bytes);
        }
    }
}
