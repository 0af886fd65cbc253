//! Whoever holds the keys that wrap data keys.

use std::fmt;

use crate::secret::binding::Binding;
use crate::secret::data_key::{DataKey, OpenError};

/// A wrapped data key, with what is needed to find the key that wrapped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrapped {
    pub(crate) key: KeyName,
    /// What the provider made of the data key.
    pub(crate) bytes: Vec<u8>,
}

/// One version of one key of one provider; never an alias.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyName {
    pub(crate) provider: String,
    pub(crate) id: String,
    pub(crate) version: String,
}

impl KeyName {
    /// Whether it is of the key that its provider calls so: by its id, or by its ARN, which ends with the id.
    pub(crate) fn is_of(&self, key: &str) -> bool {
        let is_arn_of = |arn: &str, id: &str| arn.strip_suffix(id).is_some_and(|start| start.ends_with(":key/"));
        self.id == key || is_arn_of(&self.id, key) || is_arn_of(key, &self.id)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} version {}", self.provider, self.id, self.version)
    }
}

/// Why a key does not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// There is no such key, or it is disabled; the text is for the caller.
    #[error("{0}")]
    Unusable(String),
    /// The provider does not answer; try again.
    #[error("the provider of keys does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answers, and the data key does not come out.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// How a data key gets wrapped for one parameter: at once, or when its version is known.
#[derive(Debug, Clone)]
pub(crate) enum Wrapping {
    /// The provider is elsewhere and was asked already; it bound the key to the parameter's ARN.
    Done(Wrapped),
    /// The key is here, and binds to the version too.
    Here {
        /// Its name.
        key: KeyName,
        /// The key.
        with: DataKey,
    },
}

impl Wrapping {
    /// The wrapped key of a version.
    pub(crate) fn finish(&self, data_key: &DataKey, binding: &[u8]) -> Wrapped {
        match self {
            Self::Done(wrapped) => wrapped.clone(),
            Self::Here { key, with } => Wrapped {
                key: key.clone(),
                bytes: with.encrypt(binding, data_key.bytes()),
            },
        }
    }
}

/// Whoever holds the keys that wrap data keys.
#[tonic::async_trait]
pub(crate) trait Provider: fmt::Debug + Send + Sync {
    /// Its name in the tables.
    fn name(&self) -> &'static str;

    /// Finds the key that a caller names, and wraps the data key as far as is possible before its version is known.
    async fn wrap(&self, key_id: &str, arn: &str, data_key: &DataKey) -> Result<Wrapping, KeyError>;

    /// The data key again.
    async fn unwrap(&self, wrapped: &Wrapped, binding: &Binding<'_>) -> Result<DataKey, KeyError>;

    /// The key that a caller's name for it means today: its id, or its ARN. Nothing if it cannot mean another one than it
    /// did when something was wrapped.
    async fn meaning(&self, _key_id: &str) -> Result<Option<String>, KeyError> {
        Ok(None)
    }

    /// Whether a key version is the one that new data keys of its key are wrapped with.
    async fn is_current(&self, key: &KeyName) -> Result<bool, KeyError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_id_and_by_its_arn() {
        const ARN: &str = "arn:aws:kms:us-east-1:000000000000:key/1234-abcd";
        let is_of = |id: &str, key: &str| {
            let name = KeyName {
                provider: "aws-kms".to_owned(),
                id: id.to_owned(),
                version: "-".to_owned(),
            };
            name.is_of(key)
        };
        for (id, key) in [(ARN, ARN), (ARN, "1234-abcd"), ("1234-abcd", ARN), ("x", "x")] {
            assert!(is_of(id, key), "{id} {key}");
        }
        let elsewhere = ARN.replace("us-east-1", "eu-west-1");
        for (id, key) in [
            (ARN, elsewhere.as_str()),
            (ARN, "abcd"),
            (ARN, ""),
            ("abcd", ARN),
            ("x", "y"),
        ] {
            assert!(!is_of(id, key), "{id} {key}");
        }
    }
}
