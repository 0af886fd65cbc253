//! Writes the audit log in groups: what comes while one group is being written is the next one.

use std::sync::Arc;

use muster_boot::Parts;
use muster_store::Db;
use muster_wire::Failure;
use tokio::sync::{mpsc, oneshot};

use crate::domain::audit::Entry;
use crate::key_file::KeyRing;
use crate::store::audit;

/// Batches that wait; whoever comes then waits, too.
const WAITING: usize = 256;
/// Records that are written together.
const GROUP: usize = 5_000;

/// Entries on their way into the log.
#[derive(Debug)]
struct Batch {
    entries: Vec<Entry>,
    /// Hears the number of the last one of the group, or nothing if it was not written.
    done: oneshot::Sender<i64>,
}

/// Takes entries for the log.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(mpsc::Sender<Batch>);

impl Recorder {
    /// Starts writing.
    pub(crate) fn start(parts: &Parts, db: Db, keys: Arc<KeyRing>) -> Self {
        let (sender, mut batches) = mpsc::channel::<Batch>(WAITING);
        let stopping = parts.tasks.stopping();
        parts.tasks.spawn("recorder", async move {
            loop {
                let first = tokio::select! {
                    // What was taken is written before the end.
                    biased;
                    first = batches.recv() => first,
                    () = stopping.cancelled() => None,
                };
                let Some(first) = first else { return Ok(()) };
                let mut group = vec![first];
                let mut count = group[0].entries.len();
                while count < GROUP
                    && let Ok(next) = batches.try_recv()
                {
                    count += next.entries.len();
                    group.push(next);
                }
                write(&db, &keys, group).await;
            }
        });
        Self(sender)
    }

    /// Writes entries; when this returns they are there for good. Gives the number of the last record of their group.
    pub(crate) async fn write(&self, entries: Vec<Entry>) -> Result<i64, Failure> {
        let (done, written) = oneshot::channel();
        let away = || Failure::Unavailable {
            what: "the audit log".to_owned(),
        };
        self.0.send(Batch { entries, done }).await.map_err(|_| away())?;
        written.await.map_err(|_| away())
    }
}

async fn write(db: &Db, keys: &KeyRing, group: Vec<Batch>) {
    let (mut entries, mut waiting) = (Vec::new(), Vec::new());
    for batch in group {
        entries.extend(batch.entries);
        waiting.push(batch.done);
    }
    match audit::append(db, keys, entries).await {
        Ok(sequence) => {
            for done in waiting {
                // Whoever gave up waiting does not want to know.
                let _ = done.send(sequence);
            }
        }
        // Those who wait hear that it was not written, and may repeat it.
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "decisions were not written into the audit log"
        ),
    }
}
