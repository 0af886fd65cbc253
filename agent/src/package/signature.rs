//! Ed25519 signatures of statements, and which keys a machine trusts.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// Bytes of a public key.
const PUBLIC_KEY: usize = 32;

/// A text that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes in base64.
    #[error("a public key is 32 bytes in base64")]
    Public,
    /// Not what `SigningKey::to_text` made.
    #[error("not a signing key: expected PKCS#8 of an Ed25519 key in base64")]
    Signing,
    /// The system has no randomness to make a key from.
    #[error("the system gives no random bytes")]
    Random,
}

/// A key that verifies; written as base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_KEY]);

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = BASE64.decode(text.trim()).map_err(|_| KeyError::Public)?;
        bytes.try_into().map(Self).map_err(|_| KeyError::Public)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

/// A signature with the key that is said to have made it; both base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The public key.
    pub key: String,
    /// The signature.
    pub ed25519: String,
}

/// A key that signs. It has no `Debug`, so that it is never printed by accident.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

impl SigningKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        Self::from_pkcs8(document.as_ref().to_vec())
    }

    /// Reads what `to_text` wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        Self::from_pkcs8(BASE64.decode(text.trim()).map_err(|_| KeyError::Signing)?)
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| KeyError::Signing)?;
        Ok(Self { pair, pkcs8 })
    }

    /// The key as a text, to be kept secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE64.encode(&self.pkcs8)
    }

    /// The key that verifies.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let bytes = self.pair.public_key().as_ref();
        PublicKey(bytes.try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    /// Signs a statement.
    #[must_use]
    pub fn seal(&self, statement: &str) -> Seal {
        Seal {
            key: self.public().to_string(),
            ed25519: BASE64.encode(self.pair.sign(statement.as_bytes())),
        }
    }
}

/// Whose packages a machine takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// The keys that are believed.
    pub keys: Vec<PublicKey>,
    /// Whether packages without a signature are taken too.
    pub allows_unsigned: bool,
}

/// Why a statement is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// There is no signature, and there must be one.
    #[error("it is not signed, and unsigned packages are not allowed here")]
    Unsigned,
    /// It is signed by somebody else.
    #[error("it is signed with the key {0}, which is not among this machine's package keys")]
    Stranger(String),
    /// The signature does not fit.
    #[error("its signature does not fit: it was changed after it was signed")]
    Forged,
}

impl Trust {
    /// Whether a statement is believed. A signature that is there must be good, also where none is asked for.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, statement: &str, seal: Option<&Seal>) -> Result<(), Untrusted> {
        let Some(seal) = seal else {
            return if self.allows_unsigned {
                Ok(())
            } else {
                Err(Untrusted::Unsigned)
            };
        };
        let said: PublicKey = seal.key.parse().map_err(|_| Untrusted::Stranger(seal.key.clone()))?;
        if !self.keys.contains(&said) {
            return Err(Untrusted::Stranger(said.to_string()));
        }
        let signature = BASE64.decode(&seal.ed25519).map_err(|_| Untrusted::Forged)?;
        UnparsedPublicKey::new(&ED25519, said.0)
            .verify(statement.as_bytes(), &signature)
            .map_err(|_| Untrusted::Forged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_believed_only_with_a_good_signature_of_a_known_key() {
        let (ours, theirs) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let trust = Trust {
            keys: vec![ours.public()],
            allows_unsigned: false,
        };
        assert_eq!(trust.check("a", Some(&ours.seal("a"))), Ok(()));
        assert_eq!(trust.check("b", Some(&ours.seal("a"))), Err(Untrusted::Forged));
        let stranger = Err(Untrusted::Stranger(theirs.public().to_string()));
        assert_eq!(trust.check("a", Some(&theirs.seal("a"))), stranger);
        assert_eq!(trust.check("a", None), Err(Untrusted::Unsigned));
        let forged = Seal {
            key: ours.public().to_string(),
            ..theirs.seal("a")
        };
        assert_eq!(trust.check("a", Some(&forged)), Err(Untrusted::Forged));

        let easy = Trust {
            allows_unsigned: true,
            ..trust
        };
        assert_eq!(easy.check("a", None), Ok(()));
        assert_eq!(easy.check("a", Some(&theirs.seal("a"))), stranger);
    }

    #[test]
    fn keys_survive_their_texts() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_text(&format!("{}\n", key.to_text())).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
        assert_eq!("c2hvcnQ=".parse::<PublicKey>(), Err(KeyError::Public));
        assert!(matches!(SigningKey::from_text("c2hvcnQ="), Err(KeyError::Signing)));
    }
}
