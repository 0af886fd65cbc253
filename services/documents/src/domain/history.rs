//! A document with its versions, and what may become of them (documents.md 7).

use muster_document::Format;

use crate::domain::version::{Selector, Which};
use crate::error::DocumentError;

/// What is known of a document beside its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) built_in: bool,
    pub(crate) document_type: String,
    pub(crate) default_version: i64,
    pub(crate) latest_version: i64,
    /// The highest number that was ever given.
    pub(crate) last_version: i64,
}

/// What tells a version from the others of its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionKey {
    pub(crate) version: i64,
    pub(crate) version_name: Option<String>,
    pub(crate) format: String,
    pub(crate) identity: String,
}

/// A document and its versions, in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) head: Head,
    pub(crate) versions: Vec<VersionKey>,
}

/// A version that somebody wants to add.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proposal<'a> {
    /// The version that is believed to be the latest.
    pub(crate) expected: Which,
    pub(crate) version_name: Option<&'a str>,
    pub(crate) format: Format,
    pub(crate) identity: &'a str,
}

/// What is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The document with all its versions.
    Document,
    /// One version; another one is the latest afterwards.
    Version {
        /// The one that goes.
        version: i64,
        /// The highest number that stays.
        latest: i64,
    },
}

/// What makes a stored document into the built-in one of this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seeding {
    /// It is the one already.
    Nothing,
    /// Its content is there as another version, which becomes the default.
    MoveDefault(i64),
    /// Its content becomes this version and the default.
    Add(i64),
    /// A user's document has the name; it stays.
    Occupied,
}

impl History {
    /// The number of a version to add.
    pub(crate) fn add(&self, proposal: &Proposal<'_>, limit: u32) -> Result<i64, DocumentError> {
        let head = &self.head;
        self.refuse_built_in()?;
        let given = match proposal.expected {
            Which::Latest => None,
            Which::Number(number) if number == head.latest_version => None,
            Which::Number(number) => Some(number.to_string()),
            Which::Default => Some("$DEFAULT".to_owned()),
        };
        if let Some(given) = given {
            let latest = head.latest_version;
            return Err(DocumentError::NotLatest { given, latest });
        }
        if let Some(version) = self.with_content(proposal.format, proposal.identity) {
            return Err(DocumentError::DuplicateContent { version });
        }
        let named =
            |key: &&VersionKey| proposal.version_name.is_some() && key.version_name.as_deref() == proposal.version_name;
        if let Some(key) = self.versions.iter().find(named) {
            return Err(DocumentError::DuplicateVersionName {
                name: key.version_name.clone().unwrap_or_default(),
                version: key.version,
            });
        }
        if self.versions.len() >= limit as usize {
            return Err(DocumentError::TooManyVersions { limit });
        }
        Ok(head.last_version + 1)
    }

    /// The version that is to become the default.
    pub(crate) fn move_default(&self, which: Which) -> Result<&VersionKey, DocumentError> {
        self.refuse_built_in()?;
        let selector = Selector {
            which: Some(which),
            name: None,
        };
        self.find(&selector).ok_or_else(|| DocumentError::MissingVersion {
            name: self.head.name.clone(),
            version: selector.to_string(),
        })
    }

    /// The version that a step of a review is about.
    pub(crate) fn reviewed(&self, selector: &Selector) -> Result<i64, DocumentError> {
        self.refuse_built_in()?;
        let default = Selector {
            which: Some(Which::Default),
            name: None,
        };
        let selector = if selector.is_empty() { &default } else { selector };
        self.find(selector)
            .map(|key| key.version)
            .ok_or_else(|| DocumentError::MissingVersion {
                name: self.head.name.clone(),
                version: selector.to_string(),
            })
    }

    /// Refuses to share a version by a number that is not there.
    pub(crate) fn check_shared(&self, version: &str) -> Result<(), DocumentError> {
        self.refuse_built_in()?;
        // The words `$DEFAULT`, `$LATEST` and `$ALL` always mean something.
        match version.parse::<i64>() {
            Ok(number) if self.versions.iter().all(|key| key.version != number) => Err(DocumentError::NothingToShare {
                name: self.head.name.clone(),
                version: version.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// What a deletion takes away.
    pub(crate) fn remove(&self, selector: &Selector, is_shared: bool, force: bool) -> Result<Removal, DocumentError> {
        let head = &self.head;
        self.refuse_built_in()?;
        if head.document_type == "ApplicationConfigurationSchema" && !force {
            let document_type = head.document_type.clone();
            return Err(DocumentError::NeedsForce { document_type });
        }
        if !selector.is_empty() {
            let version = match self.find(selector) {
                Some(key) => key.version,
                None => {
                    return Err(DocumentError::NothingToDelete {
                        name: head.name.clone(),
                        version: selector.to_string(),
                    });
                }
            };
            let others = self.versions.iter().map(|key| key.version).filter(|v| *v != version);
            if let Some(latest) = others.max() {
                return match version == head.default_version {
                    true => Err(DocumentError::DefaultVersion { version }),
                    false => Ok(Removal::Version { version, latest }),
                };
            }
        }
        match is_shared {
            true => Err(DocumentError::StillShared),
            false => Ok(Removal::Document),
        }
    }

    /// What brings the document to the content of a built-in one.
    pub(crate) fn seed(&self, format: Format, identity: &str) -> Seeding {
        if !self.head.built_in {
            return Seeding::Occupied;
        }
        match self.with_content(format, identity) {
            Some(version) if version == self.head.default_version => Seeding::Nothing,
            Some(version) => Seeding::MoveDefault(version),
            None => Seeding::Add(self.head.last_version + 1),
        }
    }

    /// Refuses every change of a built-in document.
    pub(crate) fn refuse_built_in(&self) -> Result<(), DocumentError> {
        match self.head.built_in {
            true => Err(DocumentError::BuiltIn {
                name: self.head.name.clone(),
            }),
            false => Ok(()),
        }
    }

    fn find(&self, selector: &Selector) -> Option<&VersionKey> {
        let number = selector.which.map(|which| match which {
            Which::Default => self.head.default_version,
            Which::Latest => self.head.latest_version,
            Which::Number(number) => number,
        });
        self.versions.iter().find(|key| {
            number.is_none_or(|number| key.version == number)
                && (selector.name.is_none() || key.version_name == selector.name)
        })
    }

    fn with_content(&self, format: Format, identity: &str) -> Option<i64> {
        let same = |key: &&VersionKey| key.format == format.as_str() && key.identity == identity;
        self.versions.iter().find(same).map(|key| key.version)
    }
}

#[cfg(test)]
mod tests;
