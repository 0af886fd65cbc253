//! What many callers want of the database, done together: all that waits goes in one group, so that a burst costs one
//! question or one sync of the disk, and few changes of threads. Who comes alone waits for nobody.

use std::future::Future;
use std::sync::Arc;

use muster_boot::Tasks;
use muster_store::StoreError;
use muster_wire::Failure;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::error::from_store;

/// Most that go in one group.
const GROUP: usize = 256;
/// Callers that may wait for the group before theirs; more wait in line.
const WAITING: usize = 4_096;

type Answer<A> = oneshot::Sender<Result<A, Failure>>;

/// Takes questions `Q` and gives answers `A`.
#[derive(Debug)]
pub(crate) struct Together<Q, A>(mpsc::Sender<(Q, Answer<A>)>);

impl<Q, A> Clone for Together<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q, A> Together<Q, A>
where
    Q: Send + 'static,
    A: Send + 'static,
{
    /// Starts so many tasks that each do a group after the other. `work` gives one answer for each question, in their
    /// order.
    pub(crate) fn start<F, Fut>(tasks: &Tasks, name: &'static str, hands: usize, work: F) -> Self
    where
        F: Fn(Vec<Q>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<A>, StoreError>> + Send,
    {
        let (sender, waiting) = mpsc::channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..hands {
            let (stopping, waiting, work) = (tasks.stopping(), Arc::clone(&waiting), work.clone());
            tasks.spawn(name, async move {
                let mut group = Vec::new();
                loop {
                    let count = tokio::select! {
                        biased;
                        count = next(&waiting, &mut group) => count,
                        () = stopping.cancelled() => 0,
                    };
                    if count == 0 {
                        return Ok(());
                    }
                    let (questions, answers): (Vec<Q>, Vec<Answer<A>>) = group.drain(..).unzip();
                    match work(questions).await {
                        Ok(done) => {
                            for (answer, done) in answers.into_iter().zip(done) {
                                // A caller that went away has what was done all the same.
                                let _ = answer.send(Ok(done));
                            }
                        }
                        Err(error) => refuse(error, answers),
                    }
                }
            });
        }
        Self(sender)
    }

    /// Asks, and waits until the group is done in which this goes.
    pub(crate) async fn ask(&self, question: Q) -> Result<A, Failure> {
        let stopping = || Failure::Unavailable {
            what: "the parameter store, which is stopping,".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        self.0.send((question, answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

async fn next<T>(waiting: &Mutex<mpsc::Receiver<T>>, group: &mut Vec<T>) -> usize {
    waiting.lock().await.recv_many(group, GROUP).await
}

fn refuse<A>(error: StoreError, answers: Vec<Answer<A>>) {
    let is_away = matches!(error, StoreError::Unavailable(_));
    let mut first = Some(from_store(error));
    for answer in answers {
        let failure = first.take().unwrap_or_else(|| match is_away {
            true => Failure::Unavailable {
                what: "the database of the parameter store".to_owned(),
            },
            false => Failure::internal("what went together with this failed"),
        });
        let _ = answer.send(Err(failure));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_in_flight_are_few_groups_and_each_hears_its_own_answer() {
        let (tasks, _failures) = Tasks::new();
        let groups = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&groups);
        let together = Together::start(&tasks, "doubling", 1, move |numbers: Vec<usize>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::task::yield_now().await;
                Ok(numbers.into_iter().map(|number| 2 * number).collect())
            }
        });
        let answers = futures::future::try_join_all((0..1_000).map(|number| together.ask(number))).await;
        assert!(answers.unwrap().into_iter().eq((0..1_000).map(|number| 2 * number)));
        let groups = groups.load(Ordering::SeqCst);
        assert!((4..=20).contains(&groups), "{groups} groups");
    }

    #[tokio::test]
    async fn all_of_a_group_hear_that_the_database_is_away_and_the_next_group_is_tried() {
        let (tasks, _failures) = Tasks::new();
        let tries = Arc::new(AtomicUsize::new(0));
        let together = Together::start(&tasks, "failing", 1, move |questions: Vec<()>| {
            let is_first = tries.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                match is_first {
                    true => Err(StoreError::Unavailable(muster_store::sqlx::Error::PoolTimedOut)),
                    false => Ok(questions),
                }
            }
        });
        let answers = futures::future::join_all((0..3).map(|_| together.ask(()))).await;
        for answer in answers {
            assert!(matches!(answer, Err(Failure::Unavailable { .. })), "{answer:?}");
        }
        together.ask(()).await.unwrap();
    }

    #[tokio::test]
    async fn who_asks_when_the_service_stops_hears_so() {
        let (tasks, _failures) = Tasks::new();
        let together = Together::start(&tasks, "stopping", 2, async |questions: Vec<()>| Ok(questions));
        tasks.stop().await;
        assert!(matches!(together.ask(()).await, Err(Failure::Unavailable { .. })));
    }
}
