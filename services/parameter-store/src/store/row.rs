//! Rows as they are stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_proto::Word;
use muster_proto::parameterstore::v1::{ParameterTier, ParameterType};
use muster_store::StoreError;
use serde::Deserialize;
use sqlx::FromRow;

use crate::domain::data_type::DataType;
use crate::domain::policy;
use crate::domain::put::{Attributes, Head, is_default_key};
use crate::domain::value::Value;
use crate::secret::{KeyName, Sealed, Wrapped};

/// The live parameter of a path.
pub(crate) const ID: &str = "
    select p.id, p.name, p.tier, p.last_version, v.type as kind, v.data_type, v.description
    from parameter as p join parameter_version as v on v.parameter_id = p.id and v.version = p.last_version
    where p.path = $1 and (p.expires_at is null or p.expires_at > $2)";

/// A parameter without what only some need.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct IdRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) tier: String,
    pub(crate) last_version: i64,
    kind: String,
    data_type: String,
    description: Option<String>,
}

impl IdRow {
    /// What an event says of it.
    pub(crate) fn subject(&self) -> Result<crate::domain::event::Subject<'_>, StoreError> {
        Ok(crate::domain::event::Subject {
            name: &self.name,
            kind: parameter_type(&self.kind)?,
            data_type: &self.data_type,
            description: self.description.as_deref(),
        })
    }
}

/// The heads of many paths, which come as rows; expired ones among them.
pub(crate) const HEADS: &str = "
    select p.id, p.path, p.name, p.last_version, p.expires_at, v.type as kind, v.data_type, v.tier, v.description,
        v.allowed_pattern, v.key_id, v.policies,
        (select min(l.version) from parameter_label as l where l.parameter_id = p.id) as first_labelled
    from {rows} as r join parameter as p on p.path = r.path
    join parameter_version as v on v.parameter_id = p.id and v.version = p.last_version";

/// A parameter with what its latest version has beside the value.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct HeadRow {
    pub(crate) id: String,
    pub(crate) path: String,
    name: String,
    last_version: i64,
    pub(crate) expires_at: Option<i64>,
    kind: String,
    data_type: String,
    tier: String,
    description: Option<String>,
    allowed_pattern: Option<String>,
    key_id: Option<String>,
    policies: String,
    first_labelled: Option<i64>,
}

impl HeadRow {
    /// Whether it is not there any more, although its rows are.
    pub(crate) fn is_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|time| time <= now)
    }

    /// The parameter.
    pub(crate) fn head(self) -> Result<Head, StoreError> {
        Ok(Head {
            id: self.id,
            name: self.name,
            last_version: self.last_version,
            first_labelled: self.first_labelled,
            latest: Attributes {
                kind: parameter_type(&self.kind)?,
                data_type: DataType::parse(&self.data_type).map_err(StoreError::corrupt)?,
                tier: parameter_tier(&self.tier)?,
                description: self.description,
                allowed_pattern: self.allowed_pattern,
                key_id: self.key_id,
                policies: policy::parse(&self.policies).map_err(StoreError::corrupt)?,
            },
        })
    }
}

/// The columns of [`ValueRow`]; `parameter as p` and `parameter_version as v` are joined.
macro_rules! value_columns {
    () => {
        "p.path, p.name, v.version, v.type as kind, v.data_type, v.modified_at, v.value, v.key_id, v.ciphertext, \
         v.key_provider, v.key_name, v.key_version, v.wrapped_key"
    };
}
/// The columns of [`FactsRow`].
macro_rules! facts_columns {
    () => {
        "p.id, p.path, p.name, p.last_version, v.version, v.type as kind, v.data_type, v.tier, v.description, \
         v.allowed_pattern, v.key_id, v.policies, v.modified_at, v.modified_by"
    };
}
pub(crate) use {facts_columns, value_columns};

/// The same as JSON that is read as a [`ValueRow`], member by member in their order.
macro_rules! value_json {
    () => {
        "json_array(p.path, p.name, v.version, v.type, v.data_type, v.modified_at, json_array(v.value, v.key_id, \
         v.ciphertext, v.key_provider, v.key_name, v.key_version, v.wrapped_key))"
    };
}
pub(crate) use value_json;

/// A version with its value.
#[derive(Debug, Clone, FromRow, Deserialize)]
pub(crate) struct ValueRow {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) version: i64,
    kind: String,
    pub(crate) data_type: String,
    pub(crate) modified_at: i64,
    #[sqlx(flatten)]
    stored: StoredRow,
}

/// How a value is stored.
#[derive(Clone, FromRow, Deserialize)]
pub(crate) struct StoredRow {
    value: Option<String>,
    key_id: Option<String>,
    ciphertext: Option<String>,
    key_provider: Option<String>,
    key_name: Option<String>,
    key_version: Option<String>,
    wrapped_key: Option<String>,
}

impl std::fmt::Debug for StoredRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredRow(…)")
    }
}

/// A stored value.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    Plain(Value),
    Sealed {
        sealed: Sealed,
        /// Its caller named no key.
        has_default_key: bool,
    },
}

impl ValueRow {
    pub(crate) fn parameter_type(&self) -> Result<ParameterType, StoreError> {
        parameter_type(&self.kind)
    }

    /// The value, encrypted or not.
    pub(crate) fn stored(self) -> Result<Stored, StoreError> {
        self.stored.stored()
    }
}

impl StoredRow {
    /// The value, encrypted or not.
    pub(crate) fn stored(self) -> Result<Stored, StoreError> {
        let text = |text: Option<String>| text.ok_or_else(|| StoreError::corrupt("a SecureString lacks a part"));
        let bytes = |column| STANDARD.decode(text(column)?).map_err(StoreError::corrupt);
        if let Some(value) = self.value {
            return Ok(Stored::Plain(Value::new(value)));
        }
        let sealed = Sealed {
            ciphertext: bytes(self.ciphertext)?,
            wrapped: Wrapped {
                key: KeyName {
                    provider: text(self.key_provider)?,
                    id: text(self.key_name)?,
                    version: text(self.key_version)?,
                },
                bytes: bytes(self.wrapped_key)?,
            },
        };
        Ok(Stored::Sealed {
            sealed,
            has_default_key: self.key_id.as_deref().is_some_and(is_default_key),
        })
    }
}

/// A version with everything but its value.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct FactsRow {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) last_version: i64,
    pub(crate) version: i64,
    kind: String,
    pub(crate) data_type: String,
    tier: String,
    pub(crate) description: Option<String>,
    pub(crate) allowed_pattern: Option<String>,
    pub(crate) key_id: Option<String>,
    pub(crate) policies: String,
    pub(crate) modified_at: i64,
    pub(crate) modified_by: String,
}

impl FactsRow {
    pub(crate) fn parameter_type(&self) -> Result<ParameterType, StoreError> {
        parameter_type(&self.kind)
    }

    pub(crate) fn tier(&self) -> Result<ParameterTier, StoreError> {
        parameter_tier(&self.tier)
    }
}

/// A version of a history.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct HistoryRow {
    #[sqlx(flatten)]
    pub(crate) facts: FactsRow,
    #[sqlx(flatten)]
    pub(crate) stored: StoredRow,
}

/// The type of a stored word.
pub(crate) fn parameter_type(word: &str) -> Result<ParameterType, StoreError> {
    ParameterType::from_word(word).ok_or_else(|| StoreError::corrupt("a parameter has an unknown type"))
}

fn parameter_tier(word: &str) -> Result<ParameterTier, StoreError> {
    ParameterTier::from_word(word).ok_or_else(|| StoreError::corrupt("a parameter has an unknown tier"))
}
