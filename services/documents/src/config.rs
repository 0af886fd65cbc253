//! The section `[service]` of the settings.

use std::fmt;

use muster_objects::Objects;
use serde::Deserialize;

/// Settings of documents; `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The account that owns the documents of users.
    pub account_id: AccountId,
    /// Most documents of users.
    pub max_documents: u32,
    /// Most versions of a document at a time.
    pub max_versions: u32,
    /// Most accounts that a document may be shared with.
    pub max_shares: u32,
    /// Most documents that may be shared with everybody.
    pub max_public: u32,
    /// Bytes of contents that are kept in memory.
    pub cache_bytes: usize,
    /// Where attachments are kept; an empty URL: nowhere, so that there are none.
    pub objects: Objects,
    /// The bucket that they are kept in.
    pub attachments_bucket: String,
    /// Longest attachment, in bytes.
    pub max_attachment_bytes: u64,
    /// Most bytes of all attachments together.
    pub max_total_attachment_bytes: u64,
    /// How long fetching the attachments of a version may take, in seconds.
    pub fetch_seconds: u32,
    /// Whether attachments may come from loopback, link-local and metadata addresses.
    pub fetch_from_local_addresses: bool,
}

impl Settings {
    /// What the URL of an attachment begins with; its key follows.
    pub(crate) fn files_place(&self) -> String {
        format!(
            "{}/{}/",
            self.objects.url.trim_end_matches('/'),
            self.attachments_bucket
        )
    }
}

/// The id of an account: 12 digits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AccountId(String);

/// A text that is no account id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no account id: 12 digits are")]
pub struct AccountIdError {
    text: String,
}

impl AccountId {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AccountId {
    type Error = AccountIdError;

    fn try_from(text: String) -> Result<Self, AccountIdError> {
        match text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Ok(Self(text)),
            false => Err(AccountIdError { text }),
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_defaults_are_understood() {
        let (_, settings) = muster_boot::load::<Settings>(crate::DEFAULTS, None).unwrap();
        assert_eq!(settings.account_id.as_str(), "000000000000");
        assert_eq!((settings.max_documents, settings.max_versions), (500, 1000));
    }

    #[test]
    fn an_account_id_has_twelve_digits() {
        assert!(AccountId::try_from("12345678901".to_owned()).is_err());
        assert!(AccountId::try_from("12345678901x".to_owned()).is_err());
        assert!(AccountId::try_from("123456789012".to_owned()).is_ok());
    }
}
