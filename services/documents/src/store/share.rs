//! With whom documents are shared.

use std::collections::BTreeSet;

use muster_store::{Column, Db, StoreError, json, read, transact};
use sqlx::FromRow;

use crate::domain::share::Change;
use crate::store::{Decided, TAKE_TURN, history, missing};

const ACCOUNTS: &str = "select account_id from document_share where document_id = $1";

const OTHER_PUBLIC: &str = "
    select count(*) from document_share where account_id = 'all' and document_id <> $1";

const REMOVE: &str = "
    delete from document_share where (document_id, account_id) in (
        select r.document_id, r.account_id from {rows} as r)";

const ADD: &str = "
    insert into document_share (document_id, account_id, shared_version)
    select r.document_id, r.account_id, r.shared_version from {rows} as r
    where true on conflict (document_id, account_id) do update set shared_version = excluded.shared_version";

const SHARES: &str = "
    select s.account_id, s.shared_version
    from document as d join document_share as s on s.document_id = d.id
    where d.name = $1 and s.account_id > $2
    order by s.account_id limit $3";

/// How much may be shared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Accounts of a document.
    pub(crate) shares: u32,
    /// Documents for everybody.
    pub(crate) public: u32,
}

/// An account that a document is shared with.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct ShareRow {
    pub(crate) account_id: String,
    pub(crate) shared_version: String,
}

/// Changes with whom a document is shared.
pub(crate) async fn modify(
    db: &Db,
    name: &str,
    change: &Change,
    shared_version: &str,
    limits: Limits,
) -> Result<Decided<()>, StoreError> {
    transact!(db, tx => {
        sqlx::query(TAKE_TURN).execute(&mut *tx).await?;
        let Some(history) = history!(tx, name) else {
            return Ok(Err(missing(name)));
        };
        let id = &history.head.id;
        let present: Vec<String> = sqlx::query_scalar(ACCOUNTS).bind(id).fetch_all(&mut *tx).await?;
        let present: BTreeSet<_> = present.into_iter().collect();
        let public: i64 = sqlx::query_scalar(OTHER_PUBLIC).bind(id).fetch_one(&mut *tx).await?;
        let decided = history
            .refuse_built_in()
            .and_then(|()| change.check(&present, public, limits.shares, limits.public));
        if let Err(error) = decided {
            return Ok(Err(error));
        }
        let columns = [Column::Text("document_id"), Column::Text("account_id")];
        let rows: Vec<_> = change.remove.iter().map(|account| (id, account)).collect();
        sqlx::query(db.with_rows(REMOVE, &columns)).bind(json(&rows)).execute(&mut *tx).await?;
        let columns = [Column::Text("document_id"), Column::Text("account_id"), Column::Text("shared_version")];
        let rows: Vec<_> = change.add.iter().map(|account| (id, account, shared_version)).collect();
        sqlx::query(db.with_rows(ADD, &columns)).bind(json(&rows)).execute(&mut *tx).await?;
        Ok(Ok(()))
    })
}

/// The accounts after `after`, in order.
pub(crate) async fn shares(db: &Db, name: &str, after: &str, limit: i64) -> Result<Vec<ShareRow>, StoreError> {
    Ok(read!(db, pool => {
        sqlx::query_as(SHARES).bind(name).bind(after).bind(limit).fetch_all(pool).await
    })?)
}
