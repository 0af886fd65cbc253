//! The code of an activation: a secret that is told once and of which only a hash is kept (fleet 2).

use std::fmt;

use rand::Rng;
use rand::distr::Alphanumeric;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Characters of a code; each is one of 62, so that a code has about 119 bits. A hash that costs nothing is enough.
const LENGTH: usize = 20;

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The highest multiple of their number that a byte holds.
const LETTERS_FIT: u8 = 248;

/// A code as it is told. It does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Code(String);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

impl Code {
    /// A new one.
    pub(crate) fn random() -> Self {
        Self(
            rand::rng()
                .sample_iter(Alphanumeric)
                .take(LENGTH)
                .map(char::from)
                .collect(),
        )
    }

    /// The one that a secret makes: the same for the same secret.
    pub(crate) fn of(secret: &[u8; 32]) -> Self {
        let mut stream = (0_u64..).flat_map(|block| {
            let hash: [u8; 32] = Sha256::new()
                .chain_update(secret)
                .chain_update(block.to_be_bytes())
                .finalize()
                .into();
            hash
        });
        let letters = usize::from(LETTERS_FIT);
        let mut code = String::with_capacity(LENGTH);
        while code.len() < LENGTH {
            let byte = stream.next().map_or(0, usize::from);
            // Above, some letters would be likelier than others.
            if byte < letters {
                code.push(char::from(LETTERS[byte % LETTERS.len()]));
            }
        }
        Self(code)
    }

    /// One that somebody gave.
    pub(crate) fn given(text: String) -> Self {
        Self(text)
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> CodeHash {
        CodeHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The code, for the one who made the activation.
    pub(crate) fn tell(self) -> String {
        self.0
    }
}

/// What is kept of a code.
#[derive(Clone, Copy)]
pub(crate) struct CodeHash([u8; 32]);

impl fmt::Debug for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeHash")
    }
}

impl CodeHash {
    /// As it is stored.
    pub(crate) fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Whether it is the one that is stored. Takes as long for every other hash, and as long if none is stored.
    pub(crate) fn is(self, stored: Option<&str>) -> bool {
        let mut expected = [0; 32];
        let is_stored = stored.is_some_and(|stored| hex::decode_to_slice(stored, &mut expected).is_ok());
        bool::from(self.0.ct_eq(&expected)) & is_stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_twenty_letters_and_digits_and_never_the_same() {
        let (one, other) = (Code::random(), Code::random());
        assert_ne!(one, other);
        let text = one.tell();
        assert!(text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn a_secret_always_makes_the_same_code() {
        assert_eq!(Code::of(&[1; 32]), Code::of(&[1; 32]));
        assert_ne!(Code::of(&[1; 32]), Code::of(&[2; 32]));
        let text = Code::of(&[1; 32]).tell();
        assert!(text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn a_code_is_known_by_its_hash_alone() {
        let code = Code::random();
        let stored = code.hash().to_hex();
        assert!(!stored.contains(&code.clone().tell()));
        assert!(Code::given(code.clone().tell()).hash().is(Some(&stored)));
        assert!(!Code::random().hash().is(Some(&stored)));
        for broken in [None, Some(""), Some("zz")] {
            assert!(!code.hash().is(broken));
        }
        // A row without a hash is opened by nothing, not even by what hashes to zeroes.
        assert!(!CodeHash([0; 32]).is(Some("")) && !CodeHash([0; 32]).is(None));
    }

    #[test]
    fn a_code_does_not_print_itself() {
        let code = Code::given("TopSecretTopSecret00".to_owned());
        assert!(!format!("{code:?} {:?}", code.hash()).contains("TopSecret"));
    }
}
