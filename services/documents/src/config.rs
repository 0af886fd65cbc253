//! The section `[service]` of the settings.

use std::path::PathBuf;

use muster_objects::Objects;
use serde::Deserialize;

/// Settings of documents; `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
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
    /// How long the URLs of attachments are good that nodes are given, in seconds; 0: nodes read with their own credentials.
    pub attachment_url_seconds: u32,
    /// Longest attachment, in bytes.
    pub max_attachment_bytes: u64,
    /// Most bytes of all attachments together.
    pub max_total_attachment_bytes: u64,
    /// How long fetching the attachments of a version may take, in seconds.
    pub fetch_seconds: u32,
    /// Whether attachments may come from loopback, link-local and metadata addresses.
    pub fetch_from_local_addresses: bool,
    /// The key that answers to nodes are signed with; empty: they are not signed.
    pub answer_key_file: PathBuf,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_defaults_are_understood() {
        let (_, settings) = muster_boot::load::<Settings>(crate::DEFAULTS, None).unwrap();
        assert_eq!((settings.max_documents, settings.max_versions), (500, 1000));
    }
}
