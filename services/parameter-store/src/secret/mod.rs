//! SecureStrings: a data key for each version, and keys that wrap data keys (parameter-store 10).
//!
//! - `data_key`: the key of one version; it encrypts the value.
//! - `binding`: what an encrypted value and its wrapped key are bound to, so that neither opens anywhere else.
//! - `provider`: whoever holds the keys that wrap data keys; `key_file` is the one that is there without anything else,
//!   `aws_kms` and `vault_transit` are elsewhere.
//! - `keys`: all providers; what the rest of the service uses.

mod aws_kms;
mod binding;
mod data_key;
mod key_file;
mod key_id;
mod keys;
mod provider;
mod signature;
mod vault_transit;

pub use aws_kms::AwsKmsSettings;
pub(crate) use binding::Binding;
#[cfg(test)]
pub(crate) use data_key::DataKey;
pub(crate) use data_key::Sealed;
#[cfg(test)]
pub(crate) use key_file::KeyFile;
pub use key_file::KeyFileError;
pub(crate) use key_id::KeyId;
pub use keys::ProviderKind;
pub(crate) use keys::{Keys, Prepared};
pub(crate) use provider::{KeyError, KeyName, Wrapped};
#[cfg(test)]
pub(crate) use provider::{Provider, Wrapping};
pub use vault_transit::VaultTransitSettings;
