//! Accepts commands in groups: all that wait become one transaction, so that a burst costs one sync of the disk.

use muster_boot::Parts;
use muster_store::{Db, StoreError};
use muster_wire::Failure;
use tokio::sync::{mpsc, oneshot};

use crate::error::from_store;
use crate::store::accept::{NewCommand, accept};
use crate::store::news::Told;
use crate::work::{Dispatcher, News, Notifier};

/// Most commands in one transaction.
const GROUP: usize = 256;
/// Commands that may wait for the transaction before theirs.
const WAITING: usize = 4_096;

type Answer = oneshot::Sender<Result<(), Failure>>;
type Waiting = (NewCommand, Answer);

/// Takes commands that were found good.
#[derive(Debug, Clone)]
pub(crate) struct Acceptor(mpsc::Sender<Waiting>);

impl Acceptor {
    /// Starts the task that writes. `quota`: most invocations that may be pending.
    pub(crate) fn start(
        parts: &Parts,
        db: Db,
        quota: u64,
        dispatcher: Dispatcher,
        news: News,
        notifier: Notifier,
    ) -> Self {
        let (sender, mut waiting) = mpsc::channel::<Waiting>(WAITING);
        let stopping = parts.tasks.stopping();
        parts.tasks.spawn("acceptor", async move {
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
                let (commands, answers) = std::mem::take(&mut group).into_iter().unzip();
                for told in write(&db, quota, &dispatcher, commands, answers).await {
                    if told.notifies() {
                        notifier.wake();
                    }
                    news.tell(told.news);
                }
            }
        });
        Self(sender)
    }

    /// Stores a command; when this returns it survives everything.
    pub(crate) async fn accept(&self, command: NewCommand) -> Result<(), Failure> {
        let stopping = || Failure::Unavailable {
            what: "run-command, which is stopping,".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        self.0.send((command, answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

/// Writes a group, or, if the database does not take it as a whole, each command by itself: one that cannot be kept takes
/// no other with it.
async fn write(
    db: &Db,
    quota: u64,
    dispatcher: &Dispatcher,
    commands: Vec<NewCommand>,
    answers: Vec<Answer>,
) -> Vec<Told> {
    match accept(db, &commands, quota).await {
        Ok((entries, told)) => {
            dispatcher.tell(entries);
            for answer in answers {
                // A caller that went away has its command all the same.
                let _ = answer.send(Ok(()));
            }
            vec![told]
        }
        Err(error) if answers.len() > 1 && !matches!(error, StoreError::Unavailable(_)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "commands are written one by one"
            );
            let mut all = Vec::new();
            for (command, answer) in commands.into_iter().zip(answers) {
                all.extend(Box::pin(write(db, quota, dispatcher, vec![command], vec![answer])).await);
            }
            all
        }
        Err(error) => {
            refuse(error, answers);
            Vec::new()
        }
    }
}

fn refuse(error: StoreError, answers: Vec<Answer>) {
    let unavailable = matches!(error, StoreError::Unavailable(_));
    let mut first = Some(from_store(error));
    for answer in answers {
        let failure = first.take().unwrap_or_else(|| {
            if unavailable {
                Failure::Unavailable {
                    what: "the database of run-command".to_owned(),
                }
            } else {
                Failure::internal("the group of commands was not written")
            }
        });
        let _ = answer.send(Err(failure));
    }
}
