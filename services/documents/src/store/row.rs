//! Rows as they are stored.

use muster_store::StoreError;
use sqlx::FromRow;

use crate::domain::attachment::{Arrival, StoredFile};
use crate::domain::draft::Facts;
use crate::domain::history::{Head, History, VersionKey};
use crate::domain::review::Standing;

pub(crate) const HEAD: &str = "
    select id, name, built_in, document_type, default_version, latest_version, last_version
    from document where name = $1";
pub(crate) const KEYS: &str = "
    select version, version_name, format, identity from document_version where document_id = $1";

/// A row of `document`.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct HeadRow {
    pub(crate) id: String,
    name: String,
    built_in: bool,
    document_type: String,
    default_version: i64,
    latest_version: i64,
    last_version: i64,
}

/// What tells versions apart.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct KeyRow {
    version: i64,
    version_name: Option<String>,
    format: String,
    identity: String,
}

impl HeadRow {
    /// The document with these versions.
    pub(crate) fn history(self, versions: Vec<KeyRow>) -> History {
        let keys = versions.into_iter().map(|row| VersionKey {
            version: row.version,
            version_name: row.version_name,
            format: row.format,
            identity: row.identity,
        });
        History {
            head: Head {
                id: self.id,
                name: self.name,
                built_in: self.built_in,
                document_type: self.document_type,
                default_version: self.default_version,
                latest_version: self.latest_version,
                last_version: self.last_version,
            },
            versions: keys.collect(),
        }
    }
}

/// Selects [`VersionRow`]s; `document as d` and `document_version as v` are joined after it.
macro_rules! select_version {
    ($rest:literal) => {
        concat!(
            "select d.id as document_id, d.name, d.built_in, d.document_type, d.default_version, d.latest_version, ",
            "v.version, v.version_name, v.created_at, v.format, v.display_name, v.target_type, v.hash, v.platforms, ",
            "v.facts, f.standing as arrival, f.reason, f.found, ",
            "(select r.standing from document_review as r where r.document_id = d.id and r.version = v.version ",
            "order by r.number desc limit 1) as standing from document as d ",
            "join document_version as v on v.document_id = d.id ",
            "left join document_files as f on f.document_id = v.document_id and f.version = v.version ",
            $rest
        )
    };
}
pub(crate) use select_version;

/// A version with what it takes from its document, without the content.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct VersionRow {
    pub(crate) document_id: String,
    pub(crate) name: String,
    pub(crate) built_in: bool,
    pub(crate) document_type: String,
    pub(crate) default_version: i64,
    pub(crate) latest_version: i64,
    pub(crate) version: i64,
    pub(crate) version_name: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) format: String,
    pub(crate) display_name: Option<String>,
    pub(crate) target_type: Option<String>,
    pub(crate) hash: String,
    pub(crate) platforms: String,
    facts: String,
    standing: Option<String>,
    arrival: Option<String>,
    /// Why its files are not there.
    pub(crate) reason: Option<String>,
    found: Option<String>,
}

impl VersionRow {
    /// Where the version's review stands, if it has one.
    pub(crate) fn standing(&self) -> Result<Option<Standing>, StoreError> {
        self.standing.as_deref().map(standing).transpose()
    }

    /// How far its files have come; one without is there at once.
    pub(crate) fn arrival(&self) -> Result<Arrival, StoreError> {
        match &self.arrival {
            None => Ok(Arrival::Active),
            Some(word) => {
                Arrival::from_word(word).ok_or_else(|| StoreError::corrupt("the files of a version stand strangely"))
            }
        }
    }

    /// Its files that are stored.
    pub(crate) fn files(&self) -> Result<Vec<StoredFile>, StoreError> {
        let found = self.found.as_deref().unwrap_or("[]");
        serde_json::from_str(found).map_err(StoreError::corrupt)
    }

    /// What was found in the content.
    pub(crate) fn facts(&self) -> Result<Facts, StoreError> {
        serde_json::from_str(&self.facts).map_err(StoreError::corrupt)
    }
}

/// The standing of a stored word.
pub(crate) fn standing(word: &str) -> Result<Standing, StoreError> {
    Standing::from_word(word).ok_or_else(|| StoreError::corrupt("a review has an unknown standing"))
}
