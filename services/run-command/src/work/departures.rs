//! A node that is deregistered ends its pending invocations (fleet 5): what has not begun there is cancelled,
//! what runs is asked to stop. Should the news get lost, they end when the command expires.

use futures::StreamExt;
use muster_boot::{BoxError, Parts};
use muster_model::{Clock, CommandId};
use muster_store::Db;
use muster_wire::subject;
use serde::Deserialize;
use std::sync::Arc;

use crate::store;
use crate::store::cancel::Scope;
use crate::work::Dispatcher;

/// One replica hears each departure.
const GROUP: &str = "muster-run-command";

#[derive(Deserialize)]
struct Departure {
    /// The node.
    subject: String,
}

/// Starts the task that listens.
///
/// # Errors
/// If the bus does not take the subscription.
pub(crate) async fn start(parts: &Parts, db: Db, dispatcher: Dispatcher) -> Result<(), BoxError> {
    let subject = subject::event("fleet", "node", "deregistered");
    let mut departures = parts.nats.queue_subscribe(subject, GROUP.to_owned()).await?;
    let stopping = parts.tasks.stopping();
    let clock = Arc::clone(&parts.clock);
    parts.tasks.spawn("departures", async move {
        loop {
            let message = tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                message = departures.next() => message,
            };
            let Some(message) = message else {
                return Ok(());
            };
            if let Ok(departure) = serde_json::from_slice::<Departure>(&message.payload) {
                end_all(&db, &dispatcher, &departure.subject, &*clock).await;
            }
        }
    });
    Ok(())
}

async fn end_all(db: &Db, dispatcher: &Dispatcher, node: &str, clock: &dyn Clock) {
    let commands = match store::read::open_on(db, node).await {
        Ok(commands) => commands,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                node,
                "a departure was not followed up"
            );
            return;
        }
    };
    for command in commands {
        let Ok(id) = command.parse::<CommandId>() else {
            continue;
        };
        let gone = [node.to_owned()];
        match store::cancel::cancel(db, id, Scope::Nodes(&gone), "", clock.now().as_microsecond()).await {
            Ok(Some((entry, _))) => dispatcher.tell(vec![entry]),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    node,
                    "a departure was not followed up"
                );
            }
        }
    }
}
