//! Which keys wrap the data keys of SecureStrings, and wrapping them anew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_store::{Column, Db, StoreError, json, read, transact};
use sqlx::FromRow;

use super::row::parameter_type;
use crate::secret::{KeyName, Wrapped};
use muster_proto::parameterstore::v1::ParameterType;

const IN_USE: &str = "
    select key_provider, key_name, key_version, count(*) from parameter_version where key_provider is not null
    group by key_provider, key_name, key_version order by key_provider, key_name, key_version";
const NAMED: &str = "
    select key_provider, key_name, key_version, key_id, count(*) from parameter_version where key_provider is not null
    group by key_provider, key_name, key_version, key_id order by key_provider, key_name, key_version, key_id";
const WRAPPED: &str = "
    select v.parameter_id, p.path, v.version, v.type as kind, v.key_id, v.wrapped_key from parameter_version as v
    join parameter as p on p.id = v.parameter_id
    where v.key_provider = $1 and v.key_name = $2 and v.key_version = $3 and v.key_id = $4
        and (v.parameter_id, v.version) > ($5, $6)
    order by v.parameter_id, v.version limit $7";
// The old wrapped key is named too: what somebody else wrapped meanwhile stays.
const REWRAP: &str = "
    update parameter_version
    set key_provider = r.key_provider, key_name = r.key_name, key_version = r.key_version, wrapped_key = r.wrapped_key
    from {rows} as r
    where parameter_version.parameter_id = r.parameter_id and parameter_version.version = r.version
        and parameter_version.wrapped_key = r.before";
const REWRAP_COLUMNS: [Column; 7] = [
    Column::Text("parameter_id"),
    Column::BigInt("version"),
    Column::Text("key_provider"),
    Column::Text("key_name"),
    Column::Text("key_version"),
    Column::Text("wrapped_key"),
    Column::Text("before"),
];

/// All keys that something is wrapped with, and by how many versions each is needed.
pub(crate) async fn in_use(db: &Db) -> Result<Vec<(KeyName, i64)>, StoreError> {
    let rows: Vec<(String, String, String, i64)> = read!(db, pool => sqlx::query_as(IN_USE).fetch_all(pool).await)?;
    let key = |(provider, id, version, count)| (KeyName { provider, id, version }, count);
    Ok(rows.into_iter().map(key).collect())
}

/// What is wrapped with a key for those who named it in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) key: KeyName,
    /// As they named it.
    pub(crate) key_id: String,
    /// By how many versions it is needed.
    pub(crate) count: i64,
}

/// The same by how callers named the keys; what is wrapped with one key stands together.
pub(crate) async fn named(db: &Db) -> Result<Vec<Named>, StoreError> {
    let rows: Vec<(String, String, String, String, i64)> =
        read!(db, pool => sqlx::query_as(NAMED).fetch_all(pool).await)?;
    let named = |(provider, id, version, key_id, count)| Named {
        key: KeyName { provider, id, version },
        key_id,
        count,
    };
    Ok(rows.into_iter().map(named).collect())
}

/// A version whose data key is wrapped.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct WrappedRow {
    parameter_id: String,
    pub(crate) path: String,
    pub(crate) version: i64,
    kind: String,
    /// As the caller named it.
    pub(crate) key_id: String,
    wrapped_key: String,
}

/// Where a version is among all, by the id of its parameter.
pub(crate) type Place = (String, i64);

impl WrappedRow {
    pub(crate) fn place(&self) -> Place {
        (self.parameter_id.clone(), self.version)
    }

    pub(crate) fn parameter_type(&self) -> Result<ParameterType, StoreError> {
        parameter_type(&self.kind)
    }

    /// The wrapped data key.
    pub(crate) fn wrapped(&self, key: &KeyName) -> Result<Wrapped, StoreError> {
        Ok(Wrapped {
            key: key.clone(),
            bytes: STANDARD.decode(&self.wrapped_key).map_err(StoreError::corrupt)?,
        })
    }
}

/// Versions whose data keys are wrapped with a key that was named in this way, after this one.
pub(crate) async fn wrapped_with(
    db: &Db,
    Named { key, key_id, .. }: &Named,
    after: &Place,
    limit: i64,
) -> Result<Vec<WrappedRow>, StoreError> {
    let KeyName { provider, id, version } = key;
    Ok(read!(db, pool => {
        let rows = sqlx::query_as(WRAPPED).bind(provider).bind(id).bind(version).bind(key_id);
        rows.bind(&after.0).bind(after.1).bind(limit).fetch_all(pool).await
    })?)
}

/// Stores data keys that were wrapped anew. Values are not touched.
pub(crate) async fn rewrap(db: &Db, anew: &[(WrappedRow, Wrapped)]) -> Result<(), StoreError> {
    let rows = anew.iter().map(|(row, wrapped)| {
        let key = &wrapped.key;
        let bytes = STANDARD.encode(&wrapped.bytes);
        (
            &row.parameter_id,
            row.version,
            &key.provider,
            &key.id,
            &key.version,
            bytes,
            &row.wrapped_key,
        )
    });
    let rows = json(&rows.collect::<Vec<_>>());
    transact!(db, tx => {
        sqlx::query(db.with_rows(REWRAP, &REWRAP_COLUMNS)).bind(&rows).execute(&mut *tx).await?;
        Ok(())
    })
}
