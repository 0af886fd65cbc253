//! All providers of keys: one wraps, each unwraps what it wrapped.

use std::sync::Arc;

use muster_boot::BoxError;
use serde::Deserialize;

use crate::Settings;
use crate::domain::scope::Scope;
use crate::domain::value::Value;
use crate::secret::aws_kms::AwsKms;
use crate::secret::binding::Binding;
use crate::secret::data_key::{DataKey, Sealed};
use crate::secret::key_file::{self, KeyFile};
use crate::secret::provider::{KeyError, KeyName, Provider, Wrapped, Wrapping};
use crate::secret::vault_transit::VaultTransit;

/// Which provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// The key file.
    File,
    /// AWS KMS.
    AwsKms,
    /// Vault's transit engine.
    VaultTransit,
}

/// The tables need keys of a provider that is not set up.
#[derive(Debug, thiserror::Error)]
#[error("{count} SecureStrings need the key {key}, and that provider is not set up: set it up again")]
struct NotSetUp {
    key: KeyName,
    count: i64,
}

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
    /// The key that wraps.
    pub(crate) fn key(&self) -> &KeyName {
        match &self.wrapping {
            Wrapping::Done(wrapped) => &wrapped.key,
            Wrapping::Here { key, .. } => key,
        }
    }

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
    /// The providers of the settings. `needed` are the keys that the tables name, with the count of versions that need
    /// them.
    pub(crate) fn set_up(settings: &Settings, scope: &Scope, needed: &[(KeyName, i64)]) -> Result<Self, BoxError> {
        let mut providers: Vec<(ProviderKind, Arc<dyn Provider>)> = Vec::new();
        let needs_file = needed.iter().any(|(key, _)| key.provider == key_file::NAME);
        if settings.provider == ProviderKind::File || needs_file {
            let file = KeyFile::load(&settings.key_file, scope.clone(), needed)?;
            providers.push((ProviderKind::File, Arc::new(file)));
        }
        if !settings.aws_kms.url.is_empty() {
            providers.push((ProviderKind::AwsKms, Arc::new(AwsKms::new(&settings.aws_kms)?)));
        }
        if !settings.vault_transit.url.is_empty() {
            let vault = VaultTransit::new(&settings.vault_transit, scope.clone())?;
            providers.push((ProviderKind::VaultTransit, Arc::new(vault)));
        }
        providers.sort_by_key(|(kind, _)| *kind != settings.provider);
        if providers.first().is_none_or(|(kind, _)| *kind != settings.provider) {
            return Err("the provider of keys is not set up: its url is empty".into());
        }
        let keys = Self {
            providers: providers.into_iter().map(|(_, provider)| provider).collect(),
        };
        match needed.iter().find(|(key, _)| keys.provider(key).is_err()) {
            Some((key, count)) => Err(NotSetUp {
                key: key.clone(),
                count: *count,
            }
            .into()),
            None => Ok(keys),
        }
    }

    /// The keys of one provider alone.
    #[cfg(test)]
    pub(crate) fn of(provider: Arc<dyn Provider>) -> Self {
        Self {
            providers: vec![provider],
        }
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

    /// The key of whoever wraps that a caller's name for it means today, where it can mean another one than it did.
    pub(crate) async fn meaning(&self, key_id: &str) -> Result<Option<String>, KeyError> {
        self.providers[0].meaning(key_id).await
    }

    /// Whether new data keys of its key would be wrapped with this key version too.
    pub(crate) async fn is_current(&self, key: &KeyName) -> Result<bool, KeyError> {
        match self.providers[0].name() == key.provider {
            true => self.providers[0].is_current(key).await,
            false => Ok(false),
        }
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
