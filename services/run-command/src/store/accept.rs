//! New commands, many at a time.

use muster_model::CommandId;
use muster_proto::fanout::v1::StartRolloutRequest;
use muster_proto::runcommand::v1::Command;
use muster_store::{Column, Db, StoreError, json, transact};

use crate::domain::command::{CommandStatus, Progress};
use crate::store::news::{INSERT_NEWS, INSERT_NOTIFICATIONS, NOTIFICATION_COLUMNS, Told};
use crate::store::outbox::{self, Entry};
use crate::store::row::encode;

/// A command that was found good.
#[derive(Debug)]
pub(crate) struct NewCommand {
    pub(crate) id: CommandId,
    pub(crate) requested_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) document_name: String,
    /// Without status and counters.
    pub(crate) facts: Command,
    pub(crate) progress: Progress,
    pub(crate) nodes: Vec<NewInvocation>,
    /// What the coordinator gets; none when there is no node.
    pub(crate) rollout: Option<StartRolloutRequest>,
    pub(crate) traceparent: String,
}

/// A node of a new command.
#[derive(Debug)]
pub(crate) struct NewInvocation {
    pub(crate) node_id: String,
    pub(crate) instance_name: String,
}

// A client token that was used twice at the same moment: the first one counts, and the caller is given that.
const INSERT_COMMANDS: &str = "
    insert into command (command_id, requested_at, expires_at, document_name, facts, status, status_details,
        finished, cancelled, errors_allowed, target_count, in_progress_count, success_count, failed_count,
        execution_timed_out_count, delivery_timed_out_count, other_count, revision)
    select r.command_id, r.requested_at, r.expires_at, r.document_name, r.facts, r.status, r.status_details,
        r.finished, false, r.errors_allowed, r.target_count, 0, 0, 0, 0, 0, 0, 0
    from {rows} as r where true
    on conflict (command_id) do nothing";
const COMMAND_COLUMNS: [Column; 10] = [
    Column::Text("command_id"),
    Column::BigInt("requested_at"),
    Column::BigInt("expires_at"),
    Column::Text("document_name"),
    Column::Text("facts"),
    Column::Text("status"),
    Column::Text("status_details"),
    Column::Boolean("finished"),
    Column::BigInt("errors_allowed"),
    Column::BigInt("target_count"),
];

const INSERT_INVOCATIONS: &str = "
    insert into invocation (command_id, node_id, instance_name, requested_at, status, status_details, trace)
    select r.command_id, r.node_id, r.instance_name, r.requested_at, 'Pending', 'Pending', ''
    from {rows} as r where true
    on conflict (command_id, node_id) do nothing";
const INVOCATION_COLUMNS: [Column; 4] = [
    Column::Text("command_id"),
    Column::Text("node_id"),
    Column::Text("instance_name"),
    Column::BigInt("requested_at"),
];

/// Stores commands with their invocations and what the coordinator has to be told, in one transaction.
///
/// # Errors
/// If the database does not take them; then none is stored.
pub(crate) async fn accept(db: &Db, commands: &[NewCommand]) -> Result<(Vec<Entry>, Told), StoreError> {
    let command_rows: Vec<_> = commands.iter().map(command_row).collect();
    let invocation_rows: Vec<_> = commands
        .iter()
        .flat_map(|command| {
            let id = command.id.to_string();
            command
                .nodes
                .iter()
                .map(move |node| (id.clone(), &node.node_id, &node.instance_name, command.requested_at))
        })
        .collect();
    let entries: Vec<Entry> = commands
        .iter()
        .filter_map(|command| {
            let rollout = command.rollout.as_ref()?;
            Some(Entry::start(command.id, rollout, &command.traceparent))
        })
        .collect();
    let (command_rows, invocation_rows) = (json(&command_rows), json(&invocation_rows));
    let outbox_rows = outbox::rows(&entries);
    let told = told(commands);
    transact!(db, tx => {
        let sql = db.with_rows(INSERT_COMMANDS, &COMMAND_COLUMNS);
        sqlx::query(sql).bind(&command_rows).execute(&mut *tx).await?;
        let sql = db.with_rows(INSERT_INVOCATIONS, &INVOCATION_COLUMNS);
        sqlx::query(sql).bind(&invocation_rows).execute(&mut *tx).await?;
        let sql = db.with_rows(outbox::INSERT, &outbox::COLUMNS);
        sqlx::query(sql).bind(&outbox_rows).execute(&mut *tx).await?;
        if let Some((id, payload)) = told.news_row() {
            sqlx::query(INSERT_NEWS).bind(id).bind(payload).execute(&mut *tx).await?;
        }
        if let Some(rows) = told.notification_rows() {
            let sql = db.with_rows(INSERT_NOTIFICATIONS, &NOTIFICATION_COLUMNS);
            sqlx::query(sql).bind(rows).execute(&mut *tx).await?;
        }
        Ok(())
    })?;
    Ok((entries, told))
}

/// Every command begins as pending; one without targets is over at once.
fn told(commands: &[NewCommand]) -> Told {
    let pending = CommandStatus {
        status: "Pending",
        details: "Pending",
        finished: false,
    };
    let events = |command: &NewCommand| {
        let (id, at) = (command.id.to_string(), command.requested_at);
        let end = command.progress.status();
        let end = end.finished.then(|| end.event(&id, at));
        std::iter::once(pending.event(&id, at)).chain(end).collect::<Vec<_>>()
    };
    let mut told = Told::new(commands.iter().flat_map(events).collect());
    for command in commands {
        told.notify(&command.facts, &events(command));
    }
    told
}

type Row<'a> = (
    String,
    i64,
    i64,
    &'a str,
    String,
    &'static str,
    &'static str,
    bool,
    u32,
    u32,
);

fn command_row(command: &NewCommand) -> Row<'_> {
    let status = command.progress.status();
    (
        command.id.to_string(),
        command.requested_at,
        command.expires_at,
        &command.document_name,
        encode(&command.facts),
        status.status,
        status.details,
        status.finished,
        command.progress.errors_allowed,
        command.progress.targets,
    )
}
