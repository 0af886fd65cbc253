//! What users read.

use muster_model::CommandId;
use muster_store::{Column, Db, StoreError, json, read};
use sqlx::FromRow;

use crate::domain::filter::Filters;
use crate::domain::sight::Sight;
use crate::domain::status::InvocationStatus;
use crate::store::{CommandRow, InvocationRow};

/// One command by its id.
pub(crate) const COMMAND_BY_ID: &str = "
    select command_id, requested_at, facts, status, status_details, finished, cancelled, errors_allowed,
        target_count, in_progress_count, success_count, failed_count, execution_timed_out_count,
        delivery_timed_out_count, other_count, triggered_alarm, sender
    from command where command_id = $1";

// A parameter that is NULL narrows nothing. PostgreSQL wants to be told what type a NULL has.
const COMMANDS: &str = "
    select c.command_id, c.requested_at, c.facts, c.status, c.status_details, c.finished, c.cancelled,
        c.errors_allowed, c.target_count, c.in_progress_count, c.success_count, c.failed_count,
        c.execution_timed_out_count, c.delivery_timed_out_count, c.other_count, c.triggered_alarm, c.sender
    from command as c
    where (cast($1 as text) is null or c.command_id = $1)
        and (cast($2 as text) is null or exists (
            select 1 from invocation as i where i.command_id = c.command_id and i.node_id = $2))
        and (cast($3 as bigint) is null or c.requested_at >= $3)
        and (cast($4 as bigint) is null or c.requested_at <= $4)
        and (cast($5 as text) is null or c.document_name = $5)
        and (cast($6 as text) is null or c.status = $6 or c.status_details = $6)
        and (cast($7 as boolean) is null or c.finished = $7)
        and (cast($8 as bigint) is null or (c.requested_at, c.command_id) < ($8, cast($9 as text)))
        and (cast($11 as text) is null or c.sender = $11)
    order by c.requested_at desc, c.command_id desc
    limit $10";

const INVOCATIONS: &str = "
    select i.command_id, i.node_id, i.instance_name, i.requested_at, i.status_details, i.trace,
        c.requested_at as accepted_at, c.facts, c.steps
    from command as c join invocation as i on i.command_id = c.command_id
    where (cast($1 as text) is null or c.command_id = $1)
        and (cast($2 as text) is null or i.node_id = $2)
        and (cast($3 as bigint) is null or c.requested_at >= $3)
        and (cast($4 as bigint) is null or c.requested_at <= $4)
        and (cast($5 as text) is null or c.document_name = $5)
        and (cast($6 as text) is null or i.status = $6 or i.status_details = $6)
        and (cast($7 as bigint) is null or (c.requested_at, c.command_id) < ($7, cast($8 as text))
            or (c.requested_at = $7 and c.command_id = $8 and i.node_id > cast($9 as text)))
        and (cast($11 as text) is null or c.sender = $11)
    order by c.requested_at desc, c.command_id desc, i.node_id
    limit $10";

const PLUGINS: &str = "
    select p.command_id, p.node_id, p.position, p.name, p.action, p.status, p.status_details, p.response_code,
        p.started_at, p.finished_at, p.output, p.stdout, p.stderr
    from {rows} as r join plugin as p on p.command_id = r.command_id and p.node_id = r.node_id
    order by p.command_id, p.node_id, p.position";

/// What a list is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) command_id: Option<String>,
    pub(crate) node_id: Option<String>,
    pub(crate) filters: Filters,
    /// Only commands that this principal sent, by its ARN.
    pub(crate) sender: Option<String>,
    /// Rows after this one: time, command, node.
    pub(crate) after: Option<(i64, String, String)>,
    pub(crate) limit: i64,
}

/// A row of `plugin`.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct PluginRow {
    pub(crate) command_id: String,
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) action: String,
    pub(crate) status: String,
    pub(crate) status_details: String,
    pub(crate) response_code: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) output: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// An invocation with what it takes from its command.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ListedInvocation {
    #[sqlx(flatten)]
    pub(crate) invocation: InvocationRow,
    pub(crate) accepted_at: i64,
    pub(crate) facts: String,
    steps: String,
}

impl ListedInvocation {
    /// The steps of the document in their order: those that the node has told of, and the others as they stand without
    /// (run-command 4.1): waiting, or ended with the invocation.
    pub(crate) fn all_steps(&self, mut told: Vec<PluginRow>) -> Result<Vec<PluginRow>, StoreError> {
        let status = self.invocation.invocation()?.status;
        let (status, details) = match status.is_final() {
            true => (status.status(), status.details()),
            false => ("Pending", "Pending"),
        };
        let mut all = Vec::new();
        for (name, action) in steps(&self.steps)? {
            let known = told.iter().position(|step| step.name == name);
            all.push(match known {
                Some(at) => told.remove(at),
                None => PluginRow {
                    command_id: self.invocation.command_id.clone(),
                    node_id: self.invocation.node_id.clone(),
                    name,
                    action,
                    status: status.to_owned(),
                    status_details: details.to_owned(),
                    response_code: -1,
                    started_at: None,
                    finished_at: None,
                    output: String::new(),
                    stdout: String::new(),
                    stderr: String::new(),
                },
            });
        }
        all.append(&mut told);
        Ok(all)
    }
}

/// Name and action of each step; none are known of a command from before they were kept.
fn steps(text: &str) -> Result<Vec<(String, String)>, StoreError> {
    match text {
        "" => Ok(Vec::new()),
        text => serde_json::from_str(text).map_err(StoreError::corrupt),
    }
}

/// One command.
pub(crate) async fn command(db: &Db, id: CommandId) -> Result<Option<CommandRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(COMMAND_BY_ID).bind(id.to_string()).fetch_optional(pool).await)?)
}

/// One command by its id, if whoever sees so much sees it.
pub(crate) async fn seen(db: &Db, id: CommandId, sight: &Sight) -> Result<Option<CommandRow>, StoreError> {
    let row = command(db, id).await?;
    Ok(row.filter(|row| sight.includes(&row.sender)))
}

/// Commands, newest first.
pub(crate) async fn commands(db: &Db, question: &Question) -> Result<Vec<CommandRow>, StoreError> {
    let filters = &question.filters;
    let (at, id) = match &question.after {
        Some((at, id, _)) => (Some(*at), Some(id)),
        None => (None, None),
    };
    Ok(read!(db, pool => {
        sqlx::query_as(COMMANDS)
            .bind(&question.command_id)
            .bind(&question.node_id)
            .bind(filters.after)
            .bind(filters.before)
            .bind(&filters.document_name)
            .bind(&filters.status)
            .bind(filters.finished)
            .bind(at)
            .bind(id)
            .bind(question.limit)
            .bind(&question.sender)
            .fetch_all(pool)
            .await
    })?)
}

/// Where each of a command's invocations stands.
pub(crate) async fn statuses(db: &Db, id: CommandId) -> Result<Vec<(String, InvocationStatus)>, StoreError> {
    let sql = "select node_id, status_details from invocation where command_id = $1";
    let rows: Vec<(String, String)> =
        read!(db, pool => sqlx::query_as(sql).bind(id.to_string()).fetch_all(pool).await)?;
    rows.into_iter()
        .map(|(node, details)| {
            let status = InvocationStatus::from_details(&details)
                .ok_or_else(|| StoreError::corrupt(format!("{details} is no status of an invocation")))?;
            Ok((node, status))
        })
        .collect()
}

/// Commands that have not ended on a node.
pub(crate) async fn open_on(db: &Db, node: &str) -> Result<Vec<String>, StoreError> {
    let sql = "
        select command_id from invocation where node_id = $1 and status in ('Pending', 'InProgress', 'Delayed')";
    Ok(read!(db, pool => sqlx::query_scalar(sql).bind(node).fetch_all(pool).await)?)
}

/// Nodes on which some command is open, in the order of their ids, from behind `after` on.
pub(crate) async fn nodes_with_open(db: &Db, after: &str, most: usize) -> Result<Vec<String>, StoreError> {
    let sql = "
        select distinct i.node_id from command as c join invocation as i on i.command_id = c.command_id
        where not c.finished and i.status in ('Pending', 'InProgress', 'Delayed') and i.node_id > $1
        order by i.node_id limit $2";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    Ok(read!(db, pool => sqlx::query_scalar(sql).bind(after).bind(most).fetch_all(pool).await)?)
}

/// Who sent a command that has not ended on a node.
pub(crate) async fn sender_of_open(db: &Db, id: CommandId, node: &str) -> Result<Option<String>, StoreError> {
    let sql = "
        select c.sender from invocation as i join command as c on c.command_id = i.command_id
        where i.command_id = $1 and i.node_id = $2 and i.status in ('Pending', 'InProgress', 'Delayed')";
    let sender = read!(db, pool => sqlx::query_scalar(sql).bind(id.to_string()).bind(node).fetch_optional(pool).await)?;
    Ok(sender)
}

/// A command that was sent to a node.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct SentRow {
    /// What its sender gave.
    pub(crate) facts: String,
    pub(crate) expires_at: i64,
    steps: String,
}

impl SentRow {
    /// Whether a step of this name may have log streams; of commands from before that was kept, every one may.
    pub(crate) fn has_step(&self, name: &str) -> Result<bool, StoreError> {
        let steps = steps(&self.steps)?;
        Ok(steps.is_empty() || steps.iter().any(|(step, _)| step == name))
    }
}

/// A command; `None` if the node is no target of it.
pub(crate) async fn sent_to(db: &Db, id: CommandId, node: &str) -> Result<Option<SentRow>, StoreError> {
    let sql = "
        select c.facts, c.expires_at, c.steps from command as c join invocation as i on i.command_id = c.command_id
        where i.command_id = $1 and i.node_id = $2";
    Ok(read!(db, pool => sqlx::query_as(sql).bind(id.to_string()).bind(node).fetch_optional(pool).await)?)
}

/// Invocations, those of the newest command first.
pub(crate) async fn invocations(db: &Db, question: &Question) -> Result<Vec<ListedInvocation>, StoreError> {
    let filters = &question.filters;
    let (at, id, node) = match &question.after {
        Some((at, id, node)) => (Some(*at), Some(id), Some(node)),
        None => (None, None, None),
    };
    Ok(read!(db, pool => {
        sqlx::query_as(INVOCATIONS)
            .bind(&question.command_id)
            .bind(&question.node_id)
            .bind(filters.after)
            .bind(filters.before)
            .bind(&filters.document_name)
            .bind(&filters.status)
            .bind(at)
            .bind(id)
            .bind(node)
            .bind(question.limit)
            .bind(&question.sender)
            .fetch_all(pool)
            .await
    })?)
}

/// The steps of these invocations, in order.
pub(crate) async fn plugins(db: &Db, of: &[(&str, &str)]) -> Result<Vec<PluginRow>, StoreError> {
    let columns = [Column::Text("command_id"), Column::Text("node_id")];
    let sql = db.with_rows(PLUGINS, &columns);
    let rows = json(of);
    Ok(read!(db, pool => sqlx::query_as(sql).bind(&rows).fetch_all(pool).await)?)
}

/// Whether the node ever was a target.
pub(crate) async fn knows_node(db: &Db, node: &str) -> Result<bool, StoreError> {
    let sql = "select 1 from invocation where node_id = $1 limit 1";
    let found: Option<i32> = read!(db, pool => sqlx::query_scalar(sql).bind(node).fetch_optional(pool).await)?;
    Ok(found.is_some())
}
