//! Writes puts in groups: all that wait become one transaction, so that a burst costs one sync of the disk.

use muster_boot::Parts;
use muster_store::{Db, StoreError};
use muster_wire::Failure;
use tokio::sync::{mpsc, oneshot};

use crate::error::from_store;
use crate::store::put::{Done, Ground, Job, put_all};
use crate::work::Publisher;

/// Most puts in one transaction.
const GROUP: usize = 256;
/// Puts that may wait for the transaction before theirs.
const WAITING: usize = 4_096;

type Answer = oneshot::Sender<Result<Done, Failure>>;

/// Takes puts that were found good.
#[derive(Debug, Clone)]
pub(crate) struct Writer(mpsc::Sender<(Job, Answer)>);

impl Writer {
    /// Starts the task that writes.
    pub(crate) fn start(parts: &Parts, db: Db, ground: Ground, publisher: Publisher) -> Self {
        let (sender, mut waiting) = mpsc::channel::<(Job, Answer)>(WAITING);
        let (stopping, clock) = (parts.tasks.stopping(), parts.clock.clone());
        parts.tasks.spawn("writer", async move {
            let mut group = Vec::new();
            loop {
                let count = tokio::select! {
                    biased;
                    count = waiting.recv_many(&mut group, GROUP) => count,
                    () = stopping.cancelled() => 0,
                };
                if count == 0 {
                    return Ok(());
                }
                let (jobs, answers): (Vec<Job>, Vec<Answer>) = std::mem::take(&mut group).into_iter().unzip();
                match put_all(&db, &ground, &jobs, clock.now()).await {
                    Ok(done) => {
                        publisher.wake();
                        for (answer, done) in answers.into_iter().zip(done) {
                            // A caller that went away has its version all the same.
                            let _ = answer.send(Ok(done));
                        }
                    }
                    Err(error) => refuse(error, answers),
                }
            }
        });
        Self(sender)
    }

    /// Writes a put; when this returns a version, it survives everything.
    pub(crate) async fn put(&self, job: Job) -> Result<Done, Failure> {
        let stopping = || Failure::Unavailable {
            what: "the parameter store, which is stopping,".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        self.0.send((job, answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

fn refuse(error: StoreError, answers: Vec<Answer>) {
    let is_away = matches!(error, StoreError::Unavailable(_));
    let mut first = Some(from_store(error));
    for answer in answers {
        let failure = first.take().unwrap_or_else(|| match is_away {
            true => Failure::Unavailable {
                what: "the database of the parameter store".to_owned(),
            },
            false => Failure::internal("the group of puts was not written"),
        });
        let _ = answer.send(Err(failure));
    }
}
