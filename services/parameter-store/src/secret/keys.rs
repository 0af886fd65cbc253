//! All providers of keys: one wraps, each unwraps what it wrapped.

use std::sync::Arc;

use crate::domain::value::Value;
use crate::secret::binding::Binding;
use crate::secret::data_key::{DataKey, Sealed};
use crate::secret::provider::{KeyError, KeyName, Provider, Wrapped, Wrapping};

/// All providers that the settings name.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// Never empty; the first wraps.
    providers: Vec<Arc<dyn Provider>>,
}

/// A data key that is ready to encrypt one version of one parameter.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    data_key: DataKey,
    wrapping: Wrapping,
}

impl Prepared {
    /// Encrypts the value of a version. No IO: it is called inside of a transaction, when the version is known.
    pub(crate) fn seal(&self, binding: &Binding<'_>, value: &Value) -> Sealed {
        let bytes = binding.bytes();
        Sealed {
            wrapped: self.wrapping.finish(&self.data_key, &bytes),
            ciphertext: self.data_key.encrypt(&bytes, value.reveal().as_bytes()),
        }
    }
}

impl Keys {
    /// Keys of these providers; the first wraps.
    pub(crate) fn new(first: Arc<dyn Provider>, others: Vec<Arc<dyn Provider>>) -> Self {
        let mut providers = vec![first];
        providers.extend(others);
        Self { providers }
    }

    /// A new data key, to be wrapped with the key that a caller names.
    pub(crate) async fn prepare(&self, key_id: &str, arn: &str) -> Result<Prepared, KeyError> {
        let data_key = DataKey::random();
        let wrapping = self.providers[0].wrap(key_id, arn, &data_key).await?;
        Ok(Prepared { data_key, wrapping })
    }

    /// Decrypts a value.
    pub(crate) async fn open(&self, sealed: &Sealed, binding: &Binding<'_>) -> Result<Value, KeyError> {
        let data_key = self
            .provider(&sealed.wrapped.key)?
            .unwrap(&sealed.wrapped, binding)
            .await?;
        Ok(data_key.open(&binding.bytes(), &sealed.ciphertext)?)
    }

    /// Wraps the data key of a version with the current version of the key that its caller named.
    pub(crate) async fn rewrap(
        &self,
        wrapped: &Wrapped,
        key_id: &str,
        binding: &Binding<'_>,
    ) -> Result<Wrapped, KeyError> {
        let data_key = self.provider(&wrapped.key)?.unwrap(wrapped, binding).await?;
        let wrapping = self.providers[0].wrap(key_id, &binding.arn(), &data_key).await?;
        Ok(wrapping.finish(&data_key, &binding.bytes()))
    }

    /// Whether new data keys would be wrapped with this key version too.
    pub(crate) fn is_current(&self, key: &KeyName) -> bool {
        self.providers[0].name() == key.provider && self.providers[0].is_current(key)
    }

    fn provider(&self, key: &KeyName) -> Result<&dyn Provider, KeyError> {
        let found = self.providers.iter().find(|provider| provider.name() == key.provider);
        let unknown = || {
            KeyError::Unusable(format!(
                "The provider {} of key '{}' is not set up.",
                key.provider, key.id
            ))
        };
        found.map(AsRef::as_ref).ok_or_else(unknown)
    }
}
