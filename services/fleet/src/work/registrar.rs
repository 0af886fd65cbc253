//! Registers machines, all that wait in one transaction: ten thousand registrations are a dozen syncs of the disk.

use std::collections::HashSet;
use std::sync::Arc;

use muster_boot::Parts;
use muster_model::Timestamp;
use muster_store::{Db, StoreError};
use muster_wire::Failure;
use tokio::sync::{mpsc, oneshot};

use crate::error::from_store_for_each;
use crate::store::register::{Registered, Registration, register};
use crate::work::{Metrics, News};

/// Most registrations in one transaction.
const GROUP: usize = 1_024;
/// Registrations that may wait for the transaction before theirs.
const WAITING: usize = 4 * GROUP;

type Waiting = (Registration, oneshot::Sender<Result<Registered, Failure>>);

/// Takes registrations.
#[derive(Debug, Clone)]
pub(crate) struct Registrar(mpsc::Sender<Waiting>);

impl Registrar {
    /// Starts the task that writes.
    pub(crate) fn start(parts: &Parts, db: Db, news: News, metrics: Metrics) -> Self {
        let (sender, mut waiting) = mpsc::channel::<Waiting>(WAITING);
        let (clock, stopping) = (Arc::clone(&parts.clock), parts.tasks.stopping());
        parts.tasks.spawn("registrar", async move {
            let clerk = Clerk { db, news, metrics };
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
                clerk.write(std::mem::take(&mut group), clock.now()).await;
            }
        });
        Self(sender)
    }

    /// Makes a machine a node, or finds the node that it is.
    ///
    /// # Errors
    /// If the database does not take it, or the service is stopping.
    pub(crate) async fn register(&self, machine: Registration) -> Result<Registered, Failure> {
        let stopping = || Failure::Unavailable {
            what: "fleet, which is stopping,".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        self.0.send((machine, answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

struct Clerk {
    db: Db,
    news: News,
    metrics: Metrics,
}

impl Clerk {
    async fn write(&self, mut group: Vec<Waiting>, now: Timestamp) {
        while !group.is_empty() {
            let (first, repeats) = apart(group);
            group = repeats;
            let (machines, answers): (Vec<_>, Vec<_>) = first.into_iter().unzip();
            match register(&self.db, &machines, now.as_microsecond()).await {
                Ok(registered) => self.tell(registered, answers).await,
                Err(error) => refuse(error, answers),
            }
        }
    }

    async fn tell(&self, registered: Vec<Registered>, answers: Vec<oneshot::Sender<Result<Registered, Failure>>>) {
        let fresh: Vec<String> = registered
            .iter()
            .filter(|each| !each.existing)
            .map(|each| each.node_id.clone())
            .collect();
        for (registered, answer) in registered.into_iter().zip(answers) {
            // A machine that went away finds its node when it asks again.
            let _ = answer.send(Ok(registered));
        }
        self.metrics.registrations.inc_by(fresh.len() as u64);
        for node_id in &fresh {
            self.news.registered(node_id).await;
        }
    }
}

/// The first registration of each machine, and the repeats for the next transaction.
fn apart(group: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
    let mut seen = HashSet::new();
    group
        .into_iter()
        .partition(|(machine, _)| seen.insert(machine.machine_identity.clone()))
}

fn refuse(error: StoreError, answers: Vec<oneshot::Sender<Result<Registered, Failure>>>) {
    let mut failure = from_store_for_each(error);
    for answer in answers {
        let _ = answer.send(Err(failure()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_stands_in_a_transaction_once() {
        let waiting = |machine: &str| {
            let registration = Registration {
                machine_identity: machine.to_owned(),
                ..Registration::default()
            };
            (registration, oneshot::channel().0)
        };
        let names = |group: &[Waiting]| -> Vec<String> {
            group
                .iter()
                .map(|(machine, _)| machine.machine_identity.clone())
                .collect()
        };
        let (first, repeats) = apart(["a", "b", "a", "c", "a"].map(waiting).into());
        assert_eq!(names(&first), ["a", "b", "c"]);
        let (second, repeats) = apart(repeats);
        assert_eq!(
            (names(&second), names(&repeats)),
            (vec!["a".to_owned()], vec!["a".to_owned()])
        );
    }
}
