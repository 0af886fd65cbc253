//! The coordinator's news: invocations, steps, counters and the command's status change together.

use std::collections::{BTreeMap, HashMap};

use muster_proto::fanout::v1::Transition;
use muster_store::{Column, Db, StoreError, json, transact};

use crate::domain::command::Progress;
use crate::domain::event::Event;
use crate::domain::invocation::{Invocation, Plugin, micros};
use crate::domain::status::InvocationStatus;
use crate::store::news::{INSERT_NEWS, INSERT_NOTIFICATIONS, NOTIFICATION_COLUMNS, Told};
use crate::store::{CommandRow, InvocationRow};

// Taking the rows' locks in one order keeps two replicas from undoing each other's counting.
const LOCK_COMMANDS: &str = "
    update command set revision = revision + 1
    where command_id in (select r.command_id from {rows} as r)";
const LOAD_COMMANDS: &str = "
    select c.command_id, c.requested_at, c.facts, c.status, c.status_details, c.finished, c.cancelled,
        c.errors_allowed, c.target_count, c.in_progress_count, c.success_count, c.failed_count,
        c.execution_timed_out_count, c.delivery_timed_out_count, c.other_count, c.triggered_alarm, c.sender
    from {rows} as r join command as c on c.command_id = r.command_id";
const COMMAND_ID: [Column; 1] = [Column::Text("command_id")];

const LOAD_INVOCATIONS: &str = "
    select i.command_id, i.node_id, i.instance_name, i.requested_at, i.status_details, i.trace
    from {rows} as r join invocation as i on i.command_id = r.command_id and i.node_id = r.node_id";
const INVOCATION_ID: [Column; 2] = [Column::Text("command_id"), Column::Text("node_id")];

const UPDATE_INVOCATIONS: &str = "
    update invocation set requested_at = r.requested_at, status = r.status, status_details = r.status_details,
        trace = r.trace
    from {rows} as r where invocation.command_id = r.command_id and invocation.node_id = r.node_id";
const INVOCATION_UPDATE: [Column; 6] = [
    Column::Text("command_id"),
    Column::Text("node_id"),
    Column::BigInt("requested_at"),
    Column::Text("status"),
    Column::Text("status_details"),
    Column::Text("trace"),
];

const UPSERT_PLUGINS: &str = "
    insert into plugin (command_id, node_id, position, name, action, status, status_details, response_code,
        started_at, finished_at, output, stdout, stderr)
    select r.command_id, r.node_id, r.position, r.name, r.action, r.status, r.status_details, r.response_code,
        r.started_at, r.finished_at, r.output, r.stdout, r.stderr
    from {rows} as r where true
    on conflict (command_id, node_id, position) do update set name = excluded.name, action = excluded.action,
        status = excluded.status, status_details = excluded.status_details,
        response_code = excluded.response_code, started_at = excluded.started_at,
        finished_at = excluded.finished_at, output = excluded.output, stdout = excluded.stdout,
        stderr = excluded.stderr";
const PLUGIN_COLUMNS: [Column; 13] = [
    Column::Text("command_id"),
    Column::Text("node_id"),
    Column::BigInt("position"),
    Column::Text("name"),
    Column::Text("action"),
    Column::Text("status"),
    Column::Text("status_details"),
    Column::BigInt("response_code"),
    Column::BigInt("started_at"),
    Column::BigInt("finished_at"),
    Column::Text("output"),
    Column::Text("stdout"),
    Column::Text("stderr"),
];

const CLOSE_PLUGINS: &str = "
    update plugin set status = r.status, status_details = r.status_details
    from {rows} as r where plugin.command_id = r.command_id and plugin.node_id = r.node_id
        and plugin.status in ('Pending', 'InProgress')";
const CLOSE_COLUMNS: [Column; 4] = [
    Column::Text("command_id"),
    Column::Text("node_id"),
    Column::Text("status"),
    Column::Text("status_details"),
];

const UPDATE_COMMANDS: &str = "
    update command set status = r.status, status_details = r.status_details, finished = r.finished,
        in_progress_count = r.in_progress, success_count = r.success, failed_count = r.failed,
        execution_timed_out_count = r.execution_timed_out, delivery_timed_out_count = r.delivery_timed_out,
        other_count = r.other
    from {rows} as r where command.command_id = r.command_id";
const COMMAND_UPDATE: [Column; 10] = [
    Column::Text("command_id"),
    Column::Text("status"),
    Column::Text("status_details"),
    Column::Boolean("finished"),
    Column::BigInt("in_progress"),
    Column::BigInt("success"),
    Column::BigInt("failed"),
    Column::BigInt("execution_timed_out"),
    Column::BigInt("delivery_timed_out"),
    Column::BigInt("other"),
];

/// Writes a batch of news in one transaction. News of commands that are gone are dropped.
///
/// # Errors
/// If the database does not take it; then nothing of it is written.
pub(crate) async fn record(db: &Db, news: &[Transition]) -> Result<Told, StoreError> {
    let mut ids: Vec<_> = news.iter().map(|each| (each.rollout_id.as_str(),)).collect();
    ids.sort_unstable();
    ids.dedup();
    let ids = json(&ids);
    let mut pairs: Vec<_> = news
        .iter()
        .map(|each| (each.rollout_id.as_str(), each.node_id.as_str()))
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    let pairs = json(&pairs);
    transact!(db, tx => {
        sqlx::query(db.with_rows(LOCK_COMMANDS, &COMMAND_ID)).bind(&ids).execute(&mut *tx).await?;
        let commands: Vec<CommandRow> =
            sqlx::query_as(db.with_rows(LOAD_COMMANDS, &COMMAND_ID)).bind(&ids).fetch_all(&mut *tx).await?;
        let invocations: Vec<InvocationRow> =
            sqlx::query_as(db.with_rows(LOAD_INVOCATIONS, &INVOCATION_ID)).bind(&pairs).fetch_all(&mut *tx).await?;
        let batch = Batch::apply(&commands, &invocations, news)?;
        let told = batch.told()?;
        for (sql, columns, rows) in batch.statements() {
            sqlx::query(db.with_rows(sql, columns)).bind(rows).execute(&mut *tx).await?;
        }
        if let Some((id, payload)) = told.news_row() {
            sqlx::query(INSERT_NEWS).bind(id).bind(payload).execute(&mut *tx).await?;
        }
        if let Some(rows) = told.notification_rows() {
            let sql = db.with_rows(INSERT_NOTIFICATIONS, &NOTIFICATION_COLUMNS);
            sqlx::query(sql).bind(rows).execute(&mut *tx).await?;
        }
        Ok(told)
    })
}

/// The rows of a batch after the news.
struct Batch<'a> {
    commands: BTreeMap<&'a str, (Progress, &'a CommandRow)>,
    invocations: Vec<Changed<'a>>,
    /// Every change of a status, in the order in which it happened.
    events: Vec<Event>,
}

struct Changed<'a> {
    row: &'a InvocationRow,
    before: Invocation,
    after: Invocation,
    plugins: Vec<Plugin>,
    close_plugins: bool,
}

impl<'a> Batch<'a> {
    fn apply(
        commands: &'a [CommandRow],
        invocations: &'a [InvocationRow],
        news: &[Transition],
    ) -> Result<Self, StoreError> {
        let mut at = HashMap::with_capacity(invocations.len());
        let mut changed = Vec::with_capacity(invocations.len());
        for row in invocations {
            let invocation = row.invocation()?;
            at.insert((row.command_id.as_str(), row.node_id.as_str()), changed.len());
            changed.push(Changed {
                row,
                before: invocation.clone(),
                after: invocation,
                plugins: Vec::new(),
                close_plugins: false,
            });
        }
        let mut batch = Self {
            commands: commands
                .iter()
                .map(|row| (row.command_id.as_str(), (row.progress(), row)))
                .collect(),
            invocations: changed,
            events: Vec::new(),
        };
        for each in news {
            if let Some(index) = at.get(&(each.rollout_id.as_str(), each.node_id.as_str())) {
                batch.take(*index, each);
            }
        }
        Ok(batch)
    }

    fn take(&mut self, index: usize, news: &Transition) {
        let each = &mut self.invocations[index];
        let before = each.after.status;
        each.take(news);
        let after = each.after.status;
        if before == after {
            return;
        }
        let at = news.at.as_ref().map(micros).unwrap_or_default();
        let command_id = &each.row.command_id;
        self.events.push(Event {
            command_id: command_id.clone(),
            node_id: Some(each.row.node_id.clone()),
            status: after.status().to_owned(),
            details: after.details().to_owned(),
            at,
        });
        if let Some((progress, _)) = self.commands.get_mut(command_id.as_str()) {
            let before_all = progress.status();
            progress.moved(before, after);
            let status = progress.status();
            if status != before_all {
                self.events.push(status.event(command_id, at));
            }
        }
    }

    /// The statements that write what changed, each with its columns and its rows.
    fn statements(&self) -> Vec<(&'static str, &'static [Column], String)> {
        let changed: Vec<_> = self
            .invocations
            .iter()
            .filter(|each| each.before != each.after)
            .map(|each| {
                let (id, node, after) = (&each.row.command_id, &each.row.node_id, &each.after);
                let (status, details) = (after.status.status(), after.status.details());
                (id, node, after.requested_at, status, details, &after.trace)
            })
            .collect();
        let plugins: Vec<_> = self.invocations.iter().flat_map(Changed::plugin_rows).collect();
        let closed: Vec<_> = self
            .invocations
            .iter()
            .filter(|each| each.close_plugins)
            .map(|each| {
                let (status, details) = close_words(each.after.status);
                (&each.row.command_id, &each.row.node_id, status, details)
            })
            .collect();
        let commands: Vec<_> = self
            .commands
            .iter()
            .map(|(id, (progress, _))| {
                let status = progress.status();
                (
                    id,
                    status.status,
                    status.details,
                    status.finished,
                    progress.in_progress,
                    progress.success,
                    progress.failed,
                    progress.execution_timed_out,
                    progress.delivery_timed_out,
                    progress.other,
                )
            })
            .collect();
        let mut statements: Vec<(&'static str, &'static [Column], String)> = Vec::new();
        if !changed.is_empty() {
            statements.push((UPDATE_INVOCATIONS, &INVOCATION_UPDATE, json(&changed)));
        }
        if !plugins.is_empty() {
            statements.push((UPSERT_PLUGINS, &PLUGIN_COLUMNS, json(&plugins)));
        }
        if !closed.is_empty() {
            statements.push((CLOSE_PLUGINS, &CLOSE_COLUMNS, json(&closed)));
        }
        statements.push((UPDATE_COMMANDS, &COMMAND_UPDATE, json(&commands)));
        statements
    }

    /// What those who listen are told.
    fn told(&self) -> Result<Told, StoreError> {
        let mut told = Told::new(self.events.clone());
        for (id, (_, row)) in &self.commands {
            let of_command = self.events.iter().filter(|event| event.command_id == *id);
            told.notify(&row.facts()?, of_command);
        }
        Ok(told)
    }
}

/// A step that is cut off by the end of its invocation never has the status `Delayed` or a word that steps do not know.
fn close_words(status: InvocationStatus) -> (&'static str, &'static str) {
    (status.status(), status.details())
}

impl Changed<'_> {
    fn take(&mut self, news: &Transition) {
        let change = self.after.apply(news);
        for plugin in change.plugins {
            match self.plugins.iter_mut().find(|known| known.position == plugin.position) {
                Some(known) => *known = plugin,
                None => self.plugins.push(plugin),
            }
        }
        self.close_plugins |= change.close_plugins;
    }

    fn plugin_rows(&self) -> impl Iterator<Item = impl serde::Serialize + '_> + '_ {
        self.plugins.iter().map(|plugin| {
            (
                &self.row.command_id,
                &self.row.node_id,
                plugin.position,
                &plugin.name,
                &plugin.action,
                &plugin.status,
                &plugin.status_details,
                plugin.response_code,
                plugin.started_at,
                plugin.finished_at,
                &plugin.output,
                &plugin.stdout,
                &plugin.stderr,
            )
        })
    }
}
