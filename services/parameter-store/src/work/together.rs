//! What many callers want of the database, done together: all that waits goes in one group, so that a burst costs one
//! question or one sync of the disk, and few changes of threads. Who comes alone waits for nobody.

use std::future::Future;
use std::sync::Arc;

use muster_boot::Parts;
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
    pub(crate) fn start<F, Fut>(parts: &Parts, name: &'static str, tasks: usize, work: F) -> Self
    where
        F: Fn(Vec<Q>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<A>, StoreError>> + Send,
    {
        let (sender, waiting) = mpsc::channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..tasks {
            let (stopping, waiting, work) = (parts.tasks.stopping(), Arc::clone(&waiting), work.clone());
            parts.tasks.spawn(name, async move {
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
