//! Keys of operators, accounts and users, and of whoever vouches for work: Ed25519 in the text form of NATS.

use std::fmt;
use std::str::FromStr;

use nkeys::{KeyPair, KeyPairType};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// Signs accounts.
    Operator,
    /// Signs users.
    Account,
    /// Answers a server's challenge.
    User,
    /// Vouches for what nodes are told to do; means nothing to the bus.
    Work,
}

impl KeyKind {
    fn of(kind: &KeyPairType) -> Option<Self> {
        match kind {
            KeyPairType::Operator => Some(Self::Operator),
            KeyPairType::Account => Some(Self::Account),
            KeyPairType::User => Some(Self::User),
            // NATS has this type and gives it no meaning, so such a key is good for nothing else.
            KeyPairType::Service => Some(Self::Work),
            _ => None,
        }
    }

    /// How its public keys begin.
    const fn prefix(self) -> char {
        match self {
            Self::Operator => 'O',
            Self::Account => 'A',
            Self::User => 'U',
            Self::Work => 'V',
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "operator",
            Self::Account => "account",
            Self::User => "user",
            Self::Work => "work key",
        })
    }
}

/// A text that is no key. It never repeats the text: that may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a public key of any kind that is used here.
    #[error("this is no public key of an operator, an account, a user or a work key")]
    Public,
    /// Not a seed of any kind that is used here.
    #[error("this is no seed of an operator, an account, a user or a work key")]
    Seed,
    /// A key of another kind.
    #[error("a key of an {wanted} is needed, not one of an {found}")]
    Kind {
        /// What was needed.
        wanted: KeyKind,
        /// What was there.
        found: KeyKind,
    },
}

/// A public key, as everybody may see it: `O…`, `A…`, `U…` or `V…`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(String);

impl PublicKey {
    /// Whose key it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        let kinds = [KeyKind::Operator, KeyKind::Account, KeyKind::User, KeyKind::Work];
        let found = kinds.into_iter().find(|kind| self.0.starts_with(kind.prefix()));
        found.expect("a public key is checked when it is read")
    }

    /// The key, if it is of this kind.
    ///
    /// # Errors
    /// If it is of another kind.
    pub fn of_kind(self, wanted: KeyKind) -> Result<Self, KeyError> {
        match self.kind() {
            found if found == wanted => Ok(self),
            found => Err(KeyError::Kind { wanted, found }),
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the signature over exactly these bytes was made by the holder of the seed.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        KeyPair::from_public_key(&self.0).is_ok_and(|key| key.verify(bytes, signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        // A seed begins with S and would be read as the public key of something else.
        let key = KeyPair::from_public_key(text).map_err(|_| KeyError::Public)?;
        match KeyKind::of(&key.key_pair_type()) {
            Some(kind) if text.starts_with(kind.prefix()) => Ok(Self(text.to_owned())),
            _ => Err(KeyError::Public),
        }
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The secret text of a key, `S…`. It cannot be printed by accident, and its memory is cleared.
#[derive(Clone)]
pub struct Seed(Zeroizing<String>);

impl Seed {
    /// The text itself, for the one file that holds it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// A key with its secret half.
#[derive(Clone)]
pub struct Key {
    pair: KeyPair,
    public: PublicKey,
}

impl Key {
    /// A new key from the system's randomness.
    #[must_use]
    pub fn generate(kind: KeyKind) -> Self {
        let pair = match kind {
            KeyKind::Operator => KeyPair::new_operator(),
            KeyKind::Account => KeyPair::new_account(),
            KeyKind::User => KeyPair::new_user(),
            KeyKind::Work => KeyPair::new_service(),
        };
        Self {
            public: PublicKey(pair.public_key()),
            pair,
        }
    }

    /// The key of a seed.
    ///
    /// # Errors
    /// If the text is no seed, or one of another kind.
    pub fn from_seed(text: &str, wanted: KeyKind) -> Result<Self, KeyError> {
        let pair = KeyPair::from_seed(text.trim()).map_err(|_| KeyError::Seed)?;
        let found = KeyKind::of(&pair.key_pair_type()).ok_or(KeyError::Seed)?;
        match found == wanted {
            true => Ok(Self {
                public: PublicKey(pair.public_key()),
                pair,
            }),
            false => Err(KeyError::Kind { wanted, found }),
        }
    }

    /// The half that everybody may see.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The half that nobody else may see.
    #[must_use]
    pub fn seed(&self) -> Seed {
        let seed = self.pair.seed().expect("a key of this type was made from a seed");
        Seed(Zeroizing::new(seed))
    }

    /// Signs bytes, 64 bytes long. What is signed for one purpose must not be good for another: see `Proof`.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(bytes).expect("a key of this type was made from a seed")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [KeyKind; 4] = [KeyKind::Operator, KeyKind::Account, KeyKind::User, KeyKind::Work];

    #[test]
    fn a_key_comes_back_from_its_seed() {
        for kind in KINDS {
            let key = Key::generate(kind);
            let again = Key::from_seed(key.seed().expose(), kind).unwrap();
            assert_eq!(key.public(), again.public());
            assert_eq!(key.public().kind(), kind);
            assert!(key.public().verifies(b"text", &again.sign(b"text")));
            assert!(!key.public().verifies(b"texT", &again.sign(b"text")));
            assert!(!key.public().verifies(b"text", b"short"));
        }
    }

    #[test]
    fn kinds_are_not_mixed_up() {
        let user = Key::generate(KeyKind::User);
        let error = Key::from_seed(user.seed().expose(), KeyKind::Account).unwrap_err();
        assert_eq!(error.to_string(), "a key of an account is needed, not one of an user");
        assert!(user.public().clone().of_kind(KeyKind::Account).is_err());
        assert!(user.public().clone().of_kind(KeyKind::User).is_ok());
    }

    #[test]
    fn a_seed_is_never_printed() {
        let key = Key::generate(KeyKind::User);
        let seed = key.seed();
        assert!(!format!("{seed:?} {key:?} {key:#?}").contains(seed.expose()));
        let error = seed.expose().parse::<PublicKey>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains(seed.expose()));
    }

    #[test]
    fn other_texts_are_no_keys() {
        let good = Key::generate(KeyKind::Account).public().to_string();
        let damaged = format!("{}{}", &good[..55], if good.ends_with('A') { 'B' } else { 'A' });
        for text in ["", "A", "x", "OÄ", damaged.as_str(), &good[1..]] {
            assert_eq!(text.parse::<PublicKey>(), Err(KeyError::Public), "{text}");
            assert!(Key::from_seed(text, KeyKind::Account).is_err(), "{text}");
        }
    }
}
