//! New commands, many at a time.

use std::collections::HashSet;

use muster_model::CommandId;
use muster_proto::Word;
use muster_proto::aws::v1::ExternalAlarmState;
use muster_proto::fanout::v1::StartRolloutRequest;
use muster_proto::runcommand::v1::Command;
use muster_store::{Column, Db, StoreError, json, transact};

use crate::domain::alarm::Watched;
use crate::domain::command::{CommandStatus, Progress, Quota};
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
    /// ARN of who sent it.
    pub(crate) sender: String,
    /// Name and action of each step of its document.
    pub(crate) steps: Vec<(String, String)>,
    /// How its alarm stands, if that is a reason not to begin: then no node gets it.
    pub(crate) triggered_alarm: Option<ExternalAlarmState>,
    /// What the coordinator gets; none when there is no node.
    pub(crate) rollout: Option<StartRolloutRequest>,
    pub(crate) traceparent: String,
}

impl NewCommand {
    /// Where it stands at once.
    fn status(&self, quota: &mut Quota) -> CommandStatus {
        match self.triggered_alarm {
            Some(_) => CommandStatus::CANCELLED,
            None => quota.judge(&self.progress),
        }
    }
}

/// A node of a new command.
#[derive(Debug)]
pub(crate) struct NewInvocation {
    pub(crate) node_id: String,
    pub(crate) instance_name: String,
}

// A client token that was used twice at the same moment: the first one counts, and the caller is given that. Only what
// is returned is new, and goes on to the nodes.
const INSERT_COMMANDS: &str = "
    insert into command (command_id, requested_at, expires_at, document_name, facts, status, status_details,
        finished, cancelled, errors_allowed, target_count, in_progress_count, success_count, failed_count,
        execution_timed_out_count, delivery_timed_out_count, other_count, revision, alarm, triggered_alarm,
        steps, sender)
    select r.command_id, r.requested_at, r.expires_at, r.document_name, r.facts, r.status, r.status_details,
        r.finished, false, r.errors_allowed, r.target_count, 0, 0, 0, 0, 0, 0, 0,
        r.alarm, r.triggered_alarm, r.steps, r.sender
    from {rows} as r where true
    on conflict (command_id) do nothing
    returning command_id";
const COMMAND_COLUMNS: [Column; 14] = [
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
    Column::Text("alarm"),
    Column::Text("triggered_alarm"),
    Column::Text("steps"),
    Column::Text("sender"),
];

const INSERT_INVOCATIONS: &str = "
    insert into invocation (command_id, node_id, instance_name, requested_at, status, status_details, trace)
    select r.command_id, r.node_id, r.instance_name, r.requested_at, 'Pending', 'Pending', ''
    from {rows} as r";
const INVOCATION_COLUMNS: [Column; 4] = [
    Column::Text("command_id"),
    Column::Text("node_id"),
    Column::Text("instance_name"),
    Column::BigInt("requested_at"),
];

// What is counted over a command says how many of its invocations neither run nor have ended.
const PENDING: &str = "
    select cast(coalesce(sum(target_count - in_progress_count - success_count - failed_count
        - execution_timed_out_count - delivery_timed_out_count - other_count), 0) as bigint)
    from command where not finished";

/// Stores commands with their invocations and what the coordinator has to be told, in one transaction. A command with
/// which more than `quota` invocations would be pending is over with this, and no node gets it; replicas that accept at
/// the same moment do not count each other's.
///
/// # Errors
/// If the database does not take them; then none is stored.
pub(crate) async fn accept(db: &Db, commands: &[NewCommand], quota: u64) -> Result<(Vec<Entry>, Told), StoreError> {
    transact!(db, tx => {
        let pending: i64 = sqlx::query_scalar(PENDING).fetch_one(&mut *tx).await?;
        let mut quota = Quota::new(quota, u64::try_from(pending).unwrap_or_default());
        let judged: Vec<Judged<'_>> =
            commands.iter().map(|command| (command, command.status(&mut quota))).collect();
        let rows: Vec<_> = judged.iter().map(command_row).collect();
        let sql = db.with_rows(INSERT_COMMANDS, &COMMAND_COLUMNS);
        let stored: Vec<String> = sqlx::query_scalar(sql).bind(json(&rows)).fetch_all(&mut *tx).await?;
        let mut stored: HashSet<String> = stored.into_iter().collect();
        let new: Vec<_> =
            judged.into_iter().filter(|(command, _)| stored.remove(&command.id.to_string())).collect();
        let (entries, told) = (entries(&new), told(&new));
        let sql = db.with_rows(INSERT_INVOCATIONS, &INVOCATION_COLUMNS);
        sqlx::query(sql).bind(invocation_rows(&new)).execute(&mut *tx).await?;
        let sql = db.with_rows(outbox::INSERT, &outbox::COLUMNS);
        sqlx::query(sql).bind(outbox::rows(&entries)).execute(&mut *tx).await?;
        if let Some((id, payload)) = told.news_row() {
            sqlx::query(INSERT_NEWS).bind(id).bind(payload).execute(&mut *tx).await?;
        }
        if let Some(rows) = told.notification_rows() {
            let sql = db.with_rows(INSERT_NOTIFICATIONS, &NOTIFICATION_COLUMNS);
            sqlx::query(sql).bind(rows).execute(&mut *tx).await?;
        }
        Ok((entries, told))
    })
}

/// A command, and where it stands at once.
type Judged<'a> = (&'a NewCommand, CommandStatus);

/// The parameter of [`INSERT_INVOCATIONS`]: the nodes of the commands that are not over already.
fn invocation_rows(judged: &[Judged<'_>]) -> String {
    let open = judged.iter().filter(|(_, status)| !status.finished);
    let rows: Vec<_> = open
        .flat_map(|(command, _)| {
            let id = command.id.to_string();
            command
                .nodes
                .iter()
                .map(move |node| (id.clone(), &node.node_id, &node.instance_name, command.requested_at))
        })
        .collect();
    json(&rows)
}

fn entries(judged: &[Judged<'_>]) -> Vec<Entry> {
    let open = judged.iter().filter(|(_, status)| !status.finished);
    open.filter_map(|(command, _)| {
        let rollout = command.rollout.as_ref()?;
        Some(Entry::start(command.id, rollout, &command.traceparent))
    })
    .collect()
}

/// Every command begins as pending; one without targets, with too many, or with an alarm that rings is over at once.
fn told(judged: &[Judged<'_>]) -> Told {
    let pending = CommandStatus {
        status: "Pending",
        details: "Pending",
        finished: false,
    };
    let events = |(command, status): &Judged<'_>| {
        let (id, at) = (command.id.to_string(), command.requested_at);
        let end = status.finished.then(|| status.event(&id, at));
        std::iter::once(pending.event(&id, at)).chain(end).collect::<Vec<_>>()
    };
    let mut told = Told::new(judged.iter().flat_map(events).collect());
    for each in judged {
        told.notify(&each.0.facts, &events(each));
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
    String,
    &'static str,
    String,
    &'a str,
);

fn command_row<'a>((command, status): &Judged<'a>) -> Row<'a> {
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
        Watched::of(&command.facts).map(|alarm| alarm.name).unwrap_or_default(),
        command.triggered_alarm.map_or("", Word::word),
        json(&command.steps),
        &command.sender,
    )
}
