//! Registers machines, all that wait in one transaction.

use std::sync::Arc;

use async_nats::Client;
use muster_boot::Parts;
use muster_model::Clock;
use muster_store::Db;
use muster_wire::{Failure, subject};
use tokio::sync::{mpsc, oneshot};

use crate::error::from_store;
use crate::store::register::{Registered, Registration, register};

/// Most registrations in one transaction.
const GROUP: usize = 1_000;

type Waiting = (Registration, oneshot::Sender<Result<Registered, Failure>>);

/// Takes registrations.
#[derive(Debug, Clone)]
pub(crate) struct Registrar(mpsc::Sender<Waiting>);

impl Registrar {
    /// Starts the task that writes.
    pub(crate) fn start(parts: &Parts, db: Db) -> Self {
        let (sender, mut waiting) = mpsc::channel::<Waiting>(4 * GROUP);
        let (clock, stopping, nats) = (Arc::clone(&parts.clock), parts.tasks.stopping(), parts.nats.clone());
        parts.tasks.spawn("registrar", async move {
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
                write(&db, &nats, clock.as_ref(), std::mem::take(&mut group)).await;
            }
        });
        Self(sender)
    }

    /// Makes a machine a node, or finds the node that it is.
    pub(crate) async fn register(&self, machine: Registration) -> Result<Registered, Failure> {
        let stopping = || Failure::Unavailable {
            what: "fleet, which is stopping,".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        self.0.send((machine, answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

async fn write(db: &Db, nats: &Client, clock: &dyn Clock, group: Vec<Waiting>) {
    let (machines, answers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
    match register(db, &machines, clock.now().as_microsecond()).await {
        Ok(registered) => {
            for (answer, registered) in answers.into_iter().zip(registered) {
                if !registered.existing {
                    let event = subject::event("fleet", "node", "registered");
                    // Best effort: the table is the truth.
                    let _ = nats.publish(event, registered.node_id.clone().into()).await;
                }
                let _ = answer.send(Ok(registered));
            }
        }
        Err(error) => {
            let text = error.to_string();
            let mut first = Some(from_store(error));
            for answer in answers {
                let failure = first.take().unwrap_or_else(|| Failure::internal(text.clone()));
                let _ = answer.send(Err(failure));
            }
        }
    }
}
