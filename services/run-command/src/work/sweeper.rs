//! Forgets old commands.

use std::time::Duration;

use muster_boot::{BoxError, Parts};
use muster_model::SignedDuration;
use muster_store::{Db, StoreError};

use crate::domain::log_stream;
use crate::store::decode;
use crate::store::news::forget_notifications;
use crate::store::retention::{OldRow, forget, old};
use crate::work::LogStreams;

const EVERY: Duration = Duration::from_secs(600);
const AT_ONCE: i64 = 100;

/// Starts the task that deletes commands older than `days`.
pub(crate) fn start(parts: &Parts, db: Db, days: u32, streams: LogStreams) {
    let stopping = parts.tasks.stopping();
    let clock = parts.clock.clone();
    let kept = SignedDuration::from_hours(24 * i64::from(days));
    parts.tasks.spawn("sweeper", async move {
        loop {
            let before = clock
                .now()
                .saturating_sub(kept)
                .map_or(i64::MIN, |time| time.as_microsecond());
            match sweep(&db, before, &streams).await {
                Ok(()) => {
                    let day_ago = clock.now().saturating_sub(SignedDuration::from_hours(24));
                    let before = day_ago.map_or(i64::MIN, |time| time.as_microsecond());
                    if let Err(error) = forget_notifications(&db, before).await {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "notifications for sinks that are gone were not deleted"
                        );
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "old commands were not deleted"
                    );
                }
            }
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
}

/// Forgets finished commands that were accepted before `before`, with their log streams. A command whose streams cannot
/// be removed stays, and so does what says where they are.
async fn sweep(db: &Db, before: i64, streams: &LogStreams) -> Result<(), StoreError> {
    let mut after = (i64::MIN, String::new());
    loop {
        let page = old(db, before, &after, AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = (last.requested_at, last.command_id.clone());
        let mut gone = Vec::with_capacity(page.len());
        for row in page {
            match forget_streams(&row, streams).await {
                Ok(()) => gone.push(row.command_id),
                Err(error) => tracing::warn!(
                    command = row.command_id,
                    error = &*error,
                    "an old command stays, since its log streams cannot be removed"
                ),
            }
        }
        forget(db, &gone).await?;
    }
}

async fn forget_streams(row: &OldRow, streams: &LogStreams) -> Result<(), BoxError> {
    if !streams.is_configured() {
        return Ok(());
    }
    let facts = decode(&row.facts)?;
    if !log_stream::is_wanted(&facts) {
        return Ok(());
    }
    let (streams, group, id) = (streams.clone(), log_stream::group(&facts), row.command_id.clone());
    Ok(tokio::task::spawn_blocking(move || streams.forget(&group, &id)).await??)
}

#[cfg(test)]
mod tests {
    use muster_model::CommandId;
    use muster_proto::aws::v1::CloudWatchOutputConfig;
    use muster_proto::runcommand::v1::Command;

    use super::*;
    use crate::config::LogStreamSettings;
    use crate::domain::command::Progress;
    use crate::store::accept::{NewCommand, accept};
    use crate::store::read;

    /// A command without targets has ended.
    async fn ended(db: &Db, group: &str) -> CommandId {
        let id = CommandId::random();
        let command = NewCommand {
            id,
            requested_at: 1,
            expires_at: 2,
            document_name: "AWS-RunShellScript".to_owned(),
            facts: Command {
                cloud_watch_output_config: Some(CloudWatchOutputConfig {
                    cloud_watch_log_group_name: Some(group.to_owned()),
                    cloud_watch_output_enabled: Some(true),
                }),
                ..Command::default()
            },
            progress: Progress::new(0, 0),
            nodes: Vec::new(),
            sender: String::new(),
            steps: vec![("one".to_owned(), "aws:runShellScript".to_owned())],
            triggered_alarm: None,
            rollout: None,
            traceparent: String::new(),
        };
        accept(db, &[command], u64::MAX).await.unwrap();
        id
    }

    #[tokio::test]
    async fn a_command_stays_while_its_log_streams_cannot_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("it.db").display());
        let db = Db::open(&url, "sweeper", &crate::MIGRATIONS).await.unwrap();
        let logs = folder.path().join("logs");
        let streams = LogStreams::of(&LogStreamSettings {
            folder: logs.display().to_string(),
            max_bytes: 100,
            otlp: String::new(),
        })
        .unwrap();
        let (stuck, gone) = (ended(&db, "stuck").await, ended(&db, "fine").await);
        let fine = logs.join("fine").join(gone.to_string());
        std::fs::create_dir_all(&fine).unwrap();
        // A file in the place of a folder cannot be gone through.
        std::fs::write(logs.join("stuck"), "").unwrap();

        sweep(&db, 2, &streams).await.unwrap();
        let is_there = async |id| read::command(&db, id).await.unwrap().is_some();
        assert!(is_there(stuck).await && !is_there(gone).await && !fine.exists());

        std::fs::remove_file(logs.join("stuck")).unwrap();
        sweep(&db, 2, &streams).await.unwrap();
        assert!(!is_there(stuck).await);
    }
}
