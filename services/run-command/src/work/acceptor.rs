//! Accepts commands in groups: all that wait become one transaction, so that a burst costs one sync of the disk.

use muster_boot::Parts;
use muster_store::{Db, StoreError};
use muster_wire::Failure;
use tokio::sync::{mpsc, oneshot};

use crate::error::from_store;
use crate::store::accept::{NewCommand, accept};
use crate::store::news::Told;
use crate::store::outbox::Entry;
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
                let (commands, answers): (Vec<_>, Vec<_>) = std::mem::take(&mut group).into_iter().unzip();
                let written = write(&db, quota, commands).await;
                dispatcher.tell(written.entries);
                for (answer, result) in answers.into_iter().zip(written.results) {
                    // A caller that went away has its command all the same.
                    let _ = answer.send(result);
                }
                for told in written.told {
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

/// What became of commands that came together.
#[derive(Debug, Default)]
struct Written {
    /// What the coordinator has to be told.
    entries: Vec<Entry>,
    told: Vec<Told>,
    /// One for each command, in their order.
    results: Vec<Result<(), Failure>>,
}

impl Written {
    fn put(&mut self, count: usize, (entries, told): (Vec<Entry>, Told)) {
        self.entries.extend(entries);
        self.told.push(told);
        self.results.extend((0..count).map(|_| Ok(())));
    }
}

/// Stores commands in one transaction. Where the database finds fault with it, each command gets its own, so that
/// nobody's fails for another's sake.
async fn write(db: &Db, quota: u64, commands: Vec<NewCommand>) -> Written {
    let mut written = Written::default();
    match accept(db, &commands, quota).await {
        Ok(stored) => written.put(commands.len(), stored),
        Err(StoreError::Unavailable(cause)) => {
            let again = || Failure::Unavailable {
                what: "the database of run-command".to_owned(),
            };
            written.results.push(Err(from_store(StoreError::Unavailable(cause))));
            written.results.extend(commands.iter().skip(1).map(|_| Err(again())));
        }
        Err(error) if commands.len() < 2 => written.results.push(Err(from_store(error))),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                commands = commands.len(),
                "a group of commands was not written; each is written alone"
            );
            for command in &commands {
                match accept(db, std::slice::from_ref(command), quota).await {
                    Ok(stored) => written.put(1, stored),
                    Err(error) => written.results.push(Err(from_store(error))),
                }
            }
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::read;
    use crate::store::tests::{command, databases};

    #[tokio::test]
    async fn a_command_that_the_database_refuses_takes_no_other_with_it() {
        for (db, _folder) in databases("refused").await {
            // A node of a command can be there only once.
            let all = || {
                vec![
                    command(1, &["mi-a"]),
                    command(2, &["mi-a", "mi-a"]),
                    command(3, &["mi-b"]),
                ]
            };
            let group = all();
            let ids: Vec<_> = group.iter().map(|command| command.id).collect();
            let written = write(&db, u64::MAX, group).await;
            let good: Vec<_> = written.results.iter().map(Result::is_ok).collect();
            assert_eq!(good, [true, false, true]);
            let told: Vec<_> = written.entries.iter().map(|entry| entry.command_id.clone()).collect();
            assert_eq!(told, [ids[0].to_string(), ids[2].to_string()]);
            assert_eq!(written.told.iter().filter(|told| told.news.is_some()).count(), 2);
            for (id, is_good) in ids.into_iter().zip(good) {
                assert_eq!(read::command(&db, id).await.unwrap().is_some(), is_good);
            }

            let alone = write(&db, u64::MAX, all().drain(1..2).collect()).await;
            assert!(
                matches!(alone.results.as_slice(), [Err(Failure::Internal(_))]),
                "{alone:?}"
            );
        }
    }
}
