//! Reviews of versions.

use muster_store::{Db, StoreError, read, transact};
use sqlx::FromRow;

use super::read::Pointer;
use super::{Outcome, history, take_turn};
use crate::domain::review::{Action, Change, Standing, decide};
use crate::domain::version::Selector;
use crate::error::DocumentError;

const STEPS: &str = "
    select version, number, created_at, updated_at, standing, comment, reviewer
    from document_review where document_id = $1 and version = $2 and number < $3 order by number desc limit $4";

/// The last step of each version that has one.
const LAST: &str = "
    select r.version, r.number, r.created_at, r.updated_at, r.standing, r.comment, r.reviewer
    from document_review as r where r.document_id = $1 and r.number = (
        select max(o.number) from document_review as o where o.document_id = r.document_id and o.version = r.version)
    order by r.version";

/// A step of a review.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct StepRow {
    pub(crate) version: i64,
    pub(crate) number: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    standing: String,
    pub(crate) comment: Option<String>,
    pub(crate) reviewer: String,
}

impl StepRow {
    /// Where the review stands after it.
    pub(crate) fn standing(&self) -> Result<Standing, StoreError> {
        Standing::from_word(&self.standing).ok_or_else(|| StoreError::corrupt("a review has an unknown standing"))
    }
}

/// What somebody does, and says about it.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    pub(crate) action: Action,
    pub(crate) comment: Option<String>,
    pub(crate) reviewer: String,
    pub(crate) at: i64,
}

/// Takes a step in the review of a version; gives the version's number.
pub(crate) async fn advance(db: &Db, name: &str, selector: &Selector, step: &Move) -> Outcome<i64> {
    transact!(db, tx => {
        take_turn!(tx);
        let Some(history) = history!(tx, name) else {
            return Ok(Err(DocumentError::Missing { name: name.to_owned() }));
        };
        let version = match history.reviewed(selector) {
            Ok(version) => version,
            Err(refused) => return Ok(Err(refused)),
        };
        let id = &history.head.id;
        let last: Option<StepRow> = sqlx::query_as(STEPS)
            .bind(id)
            .bind(version)
            .bind(i64::MAX)
            .bind(1_i64)
            .fetch_optional(&mut *tx)
            .await?;
        let present = last.as_ref().map(StepRow::standing).transpose()?;
        let change = match decide(present, step.action) {
            Ok(change) => change,
            Err(refused) => return Ok(Err(refused)),
        };
        let number = last.map_or(0, |last| last.number);
        match change {
            Change::Add(standing) => {
                let sql = "
                    insert into document_review (document_id, version, number, created_at, updated_at, standing,
                        comment, reviewer)
                    values ($1, $2, $3, $4, $4, $5, $6, $7)";
                sqlx::query(sql)
                    .bind(id)
                    .bind(version)
                    .bind(number + 1)
                    .bind(step.at)
                    .bind(standing.word())
                    .bind(&step.comment)
                    .bind(&step.reviewer)
                    .execute(&mut *tx)
                    .await?;
            }
            Change::Amend => {
                let sql = "
                    update document_review set updated_at = $4, comment = $5, reviewer = $6
                    where document_id = $1 and version = $2 and number = $3";
                sqlx::query(sql)
                    .bind(id)
                    .bind(version)
                    .bind(number)
                    .bind(step.at)
                    .bind(&step.comment)
                    .bind(&step.reviewer)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        Ok(Ok(version))
    })
}

/// Steps of the review of a version below this number, newest first.
pub(crate) async fn steps(db: &Db, pointer: &Pointer, below: i64, limit: i64) -> Result<Vec<StepRow>, StoreError> {
    Ok(read!(db, pool => {
        sqlx::query_as(STEPS)
            .bind(&pointer.document_id)
            .bind(pointer.version)
            .bind(below)
            .bind(limit)
            .fetch_all(pool)
            .await
    })?)
}

/// Where the reviews of a document's versions stand, by version; those without one are not in it.
pub(crate) async fn standings(db: &Db, document_id: &str) -> Result<Vec<StepRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(LAST).bind(document_id).fetch_all(pool).await)?)
}
