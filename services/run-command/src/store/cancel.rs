//! A cancel of the user: the command is marked, and the coordinator is told through the outbox.

use muster_model::CommandId;
use muster_proto::Word;
use muster_proto::aws::v1::ExternalAlarmState;
use muster_proto::fanout::v1::CancelRolloutRequest;
use muster_store::{Db, StoreError, read, transact};

use crate::store::CommandRow;
use crate::store::news::{INSERT_NEWS, Told};
use crate::store::outbox::{self, Entry};
use crate::store::read::COMMAND_BY_ID;

/// What of a command is cancelled, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// All of it.
    All,
    /// On these nodes; the others go on.
    Nodes(&'a [String]),
    /// What no node has yet, since the command's alarm is in this state.
    Unsent(ExternalAlarmState),
}

/// Marks a command as cancelled, wholly or for some nodes. `None`: the command has ended, or its alarm finds it
/// cancelled, and nothing changes.
///
/// # Errors
/// `Missing` if there is no such command.
pub(crate) async fn cancel(
    db: &Db,
    id: CommandId,
    scope: Scope<'_>,
    traceparent: &str,
    now: i64,
) -> Result<Option<(Entry, Told)>, StoreError> {
    let request = CancelRolloutRequest {
        rollout_id: id.to_string(),
        node_ids: match scope {
            Scope::Nodes(nodes) => nodes.to_vec(),
            Scope::All | Scope::Unsent(_) => Vec::new(),
        },
        only_unsent: matches!(scope, Scope::Unsent(_)),
    };
    let entry = Entry::cancel(id, &request, traceparent);
    let rows = outbox::rows(std::slice::from_ref(&entry));
    let text = id.to_string();
    let alarm = match scope {
        Scope::Unsent(state) => state.word(),
        Scope::All | Scope::Nodes(_) => "",
    };
    let whole = !matches!(scope, Scope::Nodes(_));
    transact!(db, tx => {
        let lock = "update command set revision = revision + 1 where command_id = $1";
        sqlx::query(lock).bind(&text).execute(&mut *tx).await?;
        let row: Option<CommandRow> = sqlx::query_as(COMMAND_BY_ID).bind(&text).fetch_optional(&mut *tx).await?;
        let row = row.ok_or(StoreError::Missing)?;
        if row.finished || (row.cancelled && !alarm.is_empty()) {
            return Ok(None);
        }
        let mut told = Told::default();
        if whole {
            let mut progress = row.progress();
            progress.cancelled = true;
            let status = progress.status();
            let mark = "
                update command set cancelled = true, status = $2, status_details = $3,
                    triggered_alarm = case when $4 = '' then triggered_alarm else $4 end
                where command_id = $1";
            sqlx::query(mark)
                .bind(&text)
                .bind(status.status)
                .bind(status.details)
                .bind(alarm)
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
