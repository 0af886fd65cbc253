//! A cancel of the user: the command is marked, and the coordinator is told through the outbox.

use muster_model::CommandId;
use muster_proto::fanout::v1::CancelRolloutRequest;
use muster_store::{Db, StoreError, read, transact};

use crate::store::CommandRow;
use crate::store::news::{INSERT_NEWS, Told};
use crate::store::outbox::{self, Entry};
use crate::store::read::COMMAND_BY_ID;

/// Marks a command as cancelled, wholly or for some nodes. `None`: the command has ended and nothing changes.
///
/// # Errors
/// `Missing` if there is no such command.
pub(crate) async fn cancel(
    db: &Db,
    id: CommandId,
    nodes: &[String],
    traceparent: &str,
    now: i64,
) -> Result<Option<(Entry, Told)>, StoreError> {
    let request = CancelRolloutRequest {
        rollout_id: id.to_string(),
        node_ids: nodes.to_vec(),
    };
    let entry = Entry::cancel(id, &request, traceparent);
    let rows = outbox::rows(std::slice::from_ref(&entry));
    let text = id.to_string();
    let whole = nodes.is_empty();
    transact!(db, tx => {
        let lock = "update command set revision = revision + 1 where command_id = $1";
        sqlx::query(lock).bind(&text).execute(&mut *tx).await?;
        let row: Option<CommandRow> = sqlx::query_as(COMMAND_BY_ID).bind(&text).fetch_optional(&mut *tx).await?;
        let row = row.ok_or(StoreError::Missing)?;
        if row.finished {
            return Ok(None);
        }
        let mut told = Told::default();
        if whole {
            let mut progress = row.progress();
            progress.cancelled = true;
            let status = progress.status();
            let mark = "update command set cancelled = true, status = $2, status_details = $3 where command_id = $1";
            sqlx::query(mark)
                .bind(&text)
                .bind(status.status)
                .bind(status.details)
                .execute(&mut *tx)
                .await?;
            if (status.status, status.details) != (row.status.as_str(), row.status_details.as_str()) {
                // Nobody is notified of this one.
                told = Told::new(vec![status.event(&text, now)]);
            }
        }
        if let Some((id, payload)) = told.news_row() {
            sqlx::query(INSERT_NEWS).bind(id).bind(payload).execute(&mut *tx).await?;
        }
        let sql = db.with_rows(outbox::INSERT, &outbox::COLUMNS);
        sqlx::query(sql).bind(&rows).execute(&mut *tx).await?;
        Ok(Some((entry, told)))
    })
}

/// Which of these nodes are no targets of the command.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn strangers(db: &Db, id: CommandId, nodes: &[String]) -> Result<Vec<String>, StoreError> {
    let sql = "select node_id from invocation where command_id = $1";
    let targets: Vec<String> = read!(db, pool => sqlx::query_scalar(sql).bind(id.to_string()).fetch_all(pool).await)?;
    let targets: std::collections::HashSet<_> = targets.into_iter().collect();
    Ok(nodes.iter().filter(|node| !targets.contains(*node)).cloned().collect())
}
