//! How far the files of versions have come.

use muster_store::{Db, StoreError, read, transact};
use sqlx::FromRow;

use crate::domain::attachment::{Arrival, Attachment, StoredFile};
use crate::domain::draft::Facts;

pub(super) const INSERT: &str = "
    insert into document_files (document_id, version, standing, reason, found, attempts, due_at)
    values ($1, $2, 'Creating', null, '[]', 0, $3)";

// Facts are stored as compact JSON, where a quotation mark within a text has a backslash before it.
const ADOPT: &str = r#"
    insert into document_files (document_id, version, standing, reason, found, attempts, due_at)
    select v.document_id, v.version, 'Creating', null, '[]', 0, $1
    from document_version as v join document as d on d.id = v.document_id
    where d.document_type = 'Package' and v.facts like '%"attachments":[{%' and not exists (
        select 1 from document_files as f where f.document_id = v.document_id and f.version = v.version)
    on conflict (document_id, version) do nothing"#;

const DUE: &str = "
    select f.document_id, f.version, f.attempts, f.due_at, v.facts, d.name
    from document_files as f
        join document_version as v on v.document_id = f.document_id and v.version = f.version
        join document as d on d.id = f.document_id
    where f.standing = 'Creating' and f.due_at <= $1 order by f.due_at limit $2";

const CLAIM: &str = "
    update document_files set due_at = $4, attempts = attempts + 1
    where document_id = $1 and version = $2 and due_at = $3 and standing = 'Creating'";

const PUT_OFF: &str = "
    update document_files set due_at = $3, attempts = $4
    where document_id = $1 and version = $2 and standing = 'Creating'";

const SETTLE: &str = "
    update document_files set standing = $3, reason = $4, found = $5
    where document_id = $1 and version = $2 and standing = 'Creating'";

// A version that is gone while somebody fetches its files waits until that is over.
const GONE: &str = "
    select f.document_id, f.version from document_files as f
    where (f.standing <> 'Creating' or f.due_at <= $1) and not exists (
        select 1 from document_version as v where v.document_id = f.document_id and v.version = f.version)
    limit $2";

/// A version whose files are to be fetched.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct DueRow {
    pub(crate) document_id: String,
    pub(crate) version: i64,
    /// How often it was tried.
    pub(crate) attempts: i64,
    pub(crate) name: String,
    due_at: i64,
    facts: String,
}

impl DueRow {
    /// Where the files come from.
    pub(crate) fn attachments(&self) -> Result<Vec<Attachment>, StoreError> {
        let facts: Facts = serde_json::from_str(&self.facts).map_err(StoreError::corrupt)?;
        Ok(facts.attachments)
    }
}

/// Lets the files of packages be fetched that were stored before files were, and are worth nothing without. Says how
/// many there are.
pub(crate) async fn adopt(db: &Db, now: i64) -> Result<u64, StoreError> {
    transact!(db, tx => {
        let adopted = sqlx::query(ADOPT).bind(now).execute(&mut *tx).await?;
        Ok(adopted.rows_affected())
    })
}

/// Versions whose files are to be fetched now.
pub(crate) async fn due(db: &Db, now: i64, limit: i64) -> Result<Vec<DueRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(DUE).bind(now).bind(limit).fetch_all(pool).await)?)
}

/// Takes one in hand until a time; `false` if another replica has.
pub(crate) async fn claim(db: &Db, row: &DueRow, until: i64) -> Result<bool, StoreError> {
    transact!(db, tx => {
        let done = sqlx::query(CLAIM)
            .bind(&row.document_id)
            .bind(row.version)
            .bind(row.due_at)
            .bind(until)
            .execute(&mut *tx)
            .await?;
        Ok(done.rows_affected() == 1)
    })
}

/// Lets somebody try again later.
pub(crate) async fn put_off(db: &Db, row: &DueRow, until: i64, attempts: i64) -> Result<(), StoreError> {
    transact!(db, tx => {
        sqlx::query(PUT_OFF)
            .bind(&row.document_id)
            .bind(row.version)
            .bind(until)
            .bind(attempts)
            .execute(&mut *tx)
            .await?;
        Ok(())
    })
}

/// Says what became of the files.
pub(crate) async fn settle(
    db: &Db,
    row: &DueRow,
    arrival: Arrival,
    reason: Option<&str>,
    found: &[StoredFile],
) -> Result<(), StoreError> {
    let found = serde_json::to_string(found).expect("plain texts have a JSON form");
    transact!(db, tx => {
        sqlx::query(SETTLE)
            .bind(&row.document_id)
            .bind(row.version)
            .bind(arrival.word())
            .bind(reason)
            .bind(&found)
            .execute(&mut *tx)
            .await?;
        Ok(())
    })
}

/// Bytes of all files that are stored, also of versions that are gone while their objects are still there.
pub(crate) async fn stored_bytes(db: &Db) -> Result<u64, StoreError> {
    let sql = "select found from document_files where standing = 'Active'";
    let rows: Vec<String> = read!(db, pool => sqlx::query_scalar(sql).fetch_all(pool).await)?;
    let mut bytes = 0_u64;
    for found in rows {
        let files: Vec<StoredFile> = serde_json::from_str(&found).map_err(StoreError::corrupt)?;
        let sizes = files.iter().map(|file| u64::try_from(file.size).unwrap_or_default());
        bytes = sizes.fold(bytes, u64::saturating_add);
    }
    Ok(bytes)
}

/// Versions that were deleted and whose objects are still there.
pub(crate) async fn gone(db: &Db, now: i64, limit: i64) -> Result<Vec<(String, i64)>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(GONE).bind(now).bind(limit).fetch_all(pool).await)?)
}

/// Forgets a version whose objects are removed.
pub(crate) async fn forget(db: &Db, document_id: &str, version: i64) -> Result<(), StoreError> {
    transact!(db, tx => {
        sqlx::query("delete from document_files where document_id = $1 and version = $2")
            .bind(document_id)
            .bind(version)
            .execute(&mut *tx)
            .await?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use muster_document::DocumentType;

    use super::*;
    use crate::domain::attachment::stated;
    use crate::domain::tag::Tags;
    use crate::store::tests::{QUOTAS, databases, version};
    use crate::store::write;

    #[tokio::test]
    async fn packages_from_before_files_were_kept_get_theirs() {
        for (db, _folder, _postgres) in databases().await {
            for (name, kind) in [("Tool", DocumentType::Package), ("Script", DocumentType::Command)] {
                let mut new = version(name);
                let file = stated("tool.zip", "s3://source/tool.zip".to_owned(), &[]);
                new.draft.facts.attachments = vec![file];
                let made = write::create(&db, name, kind, &new, &Tags::new(), QUOTAS)
                    .await
                    .unwrap()
                    .unwrap();
                forget(&db, &made.document_id, made.version).await.unwrap();
            }
            assert!(due(&db, 9, 10).await.unwrap().is_empty());
            assert_eq!(adopt(&db, 7).await.unwrap(), 1);
            assert_eq!(adopt(&db, 8).await.unwrap(), 0);
            let due = due(&db, 9, 10).await.unwrap();
            assert_eq!((due.len(), due[0].name.as_str(), due[0].due_at), (1, "Tool", 7));
        }
    }
}
