//! Service settings that somebody changed.

use muster_proto::Word;
use muster_proto::parameterstore::v1::ParameterTier;
use muster_store::{Db, StoreError, read, transact};
use sqlx::FromRow;

use super::take_turn;
use crate::domain::setting::Setting;

/// What somebody made of a setting.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct SettingRow {
    pub(crate) value: String,
    pub(crate) modified_at: i64,
    pub(crate) modified_by: String,
}

const FIND: &str = "select value, modified_at, modified_by from service_setting where id = $1";
const UPSERT: &str = "
    insert into service_setting (id, value, modified_at, modified_by) values ($1, $2, $3, $4)
    on conflict (id) do update
    set value = excluded.value, modified_at = excluded.modified_at, modified_by = excluded.modified_by";
/// The value of a setting, for writers.
pub(crate) const VALUE: &str = "select value from service_setting where id = $1";

/// A setting, if somebody changed it.
pub(crate) async fn find(db: &Db, setting: Setting) -> Result<Option<SettingRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(FIND).bind(setting.id()).fetch_optional(pool).await)?)
}

/// Changes a setting. Puts that are answered later are decided by it.
pub(crate) async fn set(db: &Db, setting: Setting, value: &str, by: &str, now: i64) -> Result<(), StoreError> {
    transact!(db, tx => {
        take_turn!(tx);
        sqlx::query(UPSERT).bind(setting.id()).bind(value).bind(now).bind(by).execute(&mut *tx).await?;
        Ok(())
    })
}

/// Gives a setting its default again.
pub(crate) async fn reset(db: &Db, setting: Setting) -> Result<(), StoreError> {
    transact!(db, tx => {
        take_turn!(tx);
        sqlx::query("delete from service_setting where id = $1").bind(setting.id()).execute(&mut *tx).await?;
        Ok(())
    })
}

/// The tier that a stored value means; what is none counts as not changed.
pub(crate) fn tier(value: Option<&str>) -> Option<ParameterTier> {
    value.and_then(ParameterTier::from_word)
}
