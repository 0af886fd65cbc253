//! Activations as they are stored.

use muster_store::{Db, StoreError, json, read, transact};
use sqlx::{AssertSqlSafe, FromRow};

use crate::domain::activation::{Draft, Filter};
use crate::domain::code::CodeHash;

/// How long a deleted activation is told from one that never was, in microseconds: 30 days, as long as one may last.
const REMEMBERED: i64 = 30 * 24 * 60 * 60 * 1_000_000;

/// An activation that is there.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ActivationRow {
    pub(crate) activation_id: String,
    pub(crate) description: String,
    pub(crate) default_instance_name: String,
    pub(crate) iam_role: String,
    pub(crate) registration_limit: i64,
    pub(crate) registrations_count: i64,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    /// A JSON object.
    pub(crate) tags: String,
}

impl ActivationRow {
    /// Where it stands in a list.
    pub(crate) fn place(&self) -> Place {
        Place {
            created_at: self.created_at,
            activation_id: self.activation_id.clone(),
        }
    }
}

/// Where an activation stands in a list: the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) created_at: i64,
    pub(crate) activation_id: String,
}

impl Place {
    /// Before all.
    pub(crate) const FIRST: Self = Self {
        created_at: i64::MAX,
        activation_id: String::new(),
    };

    /// Reads what `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (created_at, activation_id) = text.split_once('/')?;
        Some(Self {
            created_at: created_at.parse().ok()?,
            activation_id: activation_id.to_owned(),
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.created_at, self.activation_id)
    }
}

/// Keeps a new activation; `false` if there is one of this id, which stays as it is.
///
/// # Errors
/// If the database does not take it.
pub(crate) async fn insert(db: &Db, activation_id: &str, code: CodeHash, draft: &Draft) -> Result<bool, StoreError> {
    let now = draft.created_at.as_microsecond();
    let tags = serde_json::to_string(&draft.tags).map_err(StoreError::corrupt)?;
    transact!(db, tx => {
        sqlx::query("delete from activation where deleted_at < $1")
            .bind(now.saturating_sub(REMEMBERED))
            .execute(&mut *tx)
            .await?;
        let sql = "
            insert into activation (activation_id, code_hash, description, default_instance_name, iam_role,
                registration_limit, registrations_count, created_at, expires_at, tags, wrong_codes, locked_until)
            values ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, 0, 0) on conflict (activation_id) do nothing";
        let made = sqlx::query(sql)
            .bind(activation_id)
            .bind(code.to_hex())
            .bind(&draft.description)
            .bind(&draft.default_instance_name)
            .bind(&draft.iam_role)
            .bind(draft.registration_limit)
            .bind(now)
            .bind(draft.expires_at.as_microsecond())
            .bind(&tags)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        Ok(made == 1)
    })
}

/// What is kept of the code of an activation; `None` if there is none of this id any more.
pub(crate) async fn code(db: &Db, activation_id: &str) -> Result<Option<String>, StoreError> {
    let sql = "select code_hash from activation where activation_id = $1 and deleted_at is null";
    Ok(read!(db, pool => sqlx::query_scalar(sql).bind(activation_id).fetch_optional(pool).await)?)
}

/// Activations after a place that meet a filter, the newest first.
pub(crate) async fn page(
    db: &Db,
    filter: &Filter,
    after: &Place,
    limit: i64,
) -> Result<Vec<ActivationRow>, StoreError> {
    let mut sql = "
        select activation_id, description, default_instance_name, iam_role, registration_limit, registrations_count,
            created_at, expires_at, tags
        from activation
        where deleted_at is null
            and (created_at < $1 or (created_at = $1 and activation_id < $2))"
        .to_owned();
    let mut bound = Vec::new();
    for (column, values) in [
        ("activation_id", &filter.ids),
        ("default_instance_name", &filter.names),
        ("iam_role", &filter.roles),
    ] {
        let Some(values) = values else { continue };
        bound.push(json(values));
        // After the place and the limit.
        let number = 3 + bound.len();
        let list = match db {
            Db::Sqlite(_) => format!("json_each(${number}) as v"),
            Db::Postgres(_) => format!("json_array_elements_text(cast(${number} as json)) as v(value)"),
        };
        sql.push_str(&format!(" and {column} in (select v.value from {list})"));
    }
    sql.push_str(" order by created_at desc, activation_id desc limit $3");
    Ok(read!(db, pool => {
        // Safe: made of constants and of numbers of parameters.
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(after.created_at)
            .bind(&after.activation_id)
            .bind(limit);
        for values in &bound {
            query = query.bind(values);
        }
        query.fetch_all(pool).await
    })?)
}

/// Deletes an activation. Nodes that registered with it stay.
///
/// # Errors
/// `Missing` if it is not there.
pub(crate) async fn delete(db: &Db, activation_id: &str, now: i64) -> Result<(), StoreError> {
    transact!(db, tx => {
        let sql = "update activation set deleted_at = $2 where activation_id = $1 and deleted_at is null";
        let found = sqlx::query(sql).bind(activation_id).bind(now).execute(&mut *tx).await?;
        match found.rows_affected() {
            0 => Err(StoreError::Missing),
            _ => Ok(()),
        }
    })
}
