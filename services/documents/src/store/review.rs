//! Reviews of versions.

use muster_store::{Db, StoreError, read, transact};
use sqlx::FromRow;

use super::read::Pointer;
use super::row::standing;
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
        standing(&self.standing)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::version::Which;
    use crate::store::tests::{create, databases, update, version};
    use crate::store::{read, write};

    fn step(action: Action, at: i64) -> Move {
        Move {
            action,
            comment: Some(format!("{action:?}")),
            reviewer: "000000000000".to_owned(),
            at,
        }
    }

    fn of(number: i64) -> Selector {
        Selector {
            which: Some(Which::Number(number)),
            name: None,
        }
    }

    #[tokio::test]
    async fn steps_are_taken_one_by_one_and_go_with_their_version() {
        for (db, _folder, _postgres) in databases().await {
            create(&db, "Mine").await.unwrap();
            update(&db, "Mine", &version("two")).await.unwrap();
            let take = async |number, action, at| advance(&db, "Mine", &of(number), &step(action, at)).await.unwrap();
            let (one, other) = tokio::join!(take(2, Action::SendForReview, 1), take(2, Action::SendForReview, 1));
            assert!(one.is_ok() != other.is_ok(), "one of two that ask at once is told");
            assert_eq!(take(2, Action::UpdateReview, 2).await, Ok(2));
            assert_eq!(take(2, Action::Approve, 3).await, Ok(2));
            assert_eq!(take(1, Action::SendForReview, 4).await, Ok(1));

            let pointer = read::pointer(&db, "Mine", &of(2)).await.unwrap().unwrap();
            let shown: Vec<_> = steps(&db, &pointer, i64::MAX, 9).await.unwrap();
            let shown: Vec<_> = shown
                .iter()
                .map(|row| {
                    (
                        row.number,
                        row.standing().unwrap(),
                        row.created_at,
                        row.updated_at,
                        row.comment.as_deref(),
                    )
                })
                .collect();
            assert_eq!(
                shown,
                [
                    (2, Standing::Approved, 3, 3, Some("Approve")),
                    (1, Standing::Pending, 1, 2, Some("UpdateReview")),
                ]
            );
            assert_eq!(steps(&db, &pointer, 2, 9).await.unwrap().len(), 1);
            let last = standings(&db, &pointer.document_id).await.unwrap();
            assert_eq!(last.iter().map(|row| row.version).collect::<Vec<_>>(), [1, 2]);

            write::delete(&db, "Mine", &of(2), false).await.unwrap().unwrap();
            assert!(steps(&db, &pointer, i64::MAX, 9).await.unwrap().is_empty());
            let last = standings(&db, &pointer.document_id).await.unwrap();
            assert_eq!(last.len(), 1);
        }
    }
}
