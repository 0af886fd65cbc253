//! A node that is deregistered ends its pending invocations (fleet 5): what has not begun there is cancelled,
//! what runs is asked to stop. Should the news get lost, it is made up for: now and then fleet is asked how the nodes stand
//! on which something is open.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use muster_boot::{BoxError, Parts};
use muster_model::{Clock, CommandId};
use muster_proto::fleet::v1::ResolveTargetsRequest;
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_store::{Db, StoreError};
use muster_wire::{NatsChannel, subject};
use serde::Deserialize;
use tokio::time::MissedTickBehavior;
use tonic::Status;

use crate::store;
use crate::store::cancel::Scope;
use crate::work::Dispatcher;

/// One replica hears each departure.
const GROUP: &str = "muster-run-command";
/// How often departures of which nobody has told are looked for.
const EVERY: Duration = Duration::from_secs(60);
/// Nodes of which fleet is asked at once.
const AT_ONCE: usize = 500;
/// Commands and nodes of which it is remembered that they were ended.
const REMEMBERED: usize = 100_000;
/// Fleet's word for a node that was put out.
const DEREGISTERED: &str = "deregistered";

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
    let mut ending = Ending {
        db,
        dispatcher,
        nodes: NodesClient::new(NatsChannel::new(parts.nats.clone())),
        clock: Arc::clone(&parts.clock),
        ended: HashSet::new(),
    };
    parts.tasks.spawn("departures", async move {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                _ = tick.tick() => {
                    if let Err(error) = ending.catch_up().await {
                        tracing::warn!(error = &*error, "departures of which nobody told were not looked for");
                    }
                    continue;
                }
                message = departures.next() => message,
            };
            let Some(message) = message else {
                return Ok(());
            };
            if let Ok(departure) = serde_json::from_slice::<Departure>(&message.payload) {
                ending.end_all(&departure.subject).await;
            }
        }
    });
    Ok(())
}

/// Ends what is open on nodes that are gone.
struct Ending {
    db: Db,
    dispatcher: Dispatcher,
    nodes: NodesClient<NatsChannel>,
    clock: Arc<dyn Clock>,
    /// Commands and nodes of which this was said: what runs there may never answer, and stays open until its deadline.
    ended: HashSet<(CommandId, String)>,
}

impl Ending {
    /// Asks fleet for the nodes on which something is open.
    async fn catch_up(&mut self) -> Result<(), BoxError> {
        let (mut after, mut last_error) = (String::new(), None);
        loop {
            let instance_ids = store::read::nodes_with_open(&self.db, &after, AT_ONCE).await?;
            let Some(last) = instance_ids.last() else {
                return last_error.map_or(Ok(()), |status: Status| Err(status.into()));
            };
            after.clone_from(last);
            let request = ResolveTargetsRequest {
                instance_ids,
                ..ResolveTargetsRequest::default()
            };
            // Others may have a better answer, and these are asked about again.
            let standing = match self.nodes.clone().resolve_targets(request).await {
                Ok(standing) => standing.into_inner(),
                Err(status) if last_error.is_none() => {
                    last_error = Some(status);
                    continue;
                }
                Err(status) => return Err(status.into()),
            };
            for node in standing.unresolved {
                if node.reason == DEREGISTERED {
                    self.end_all(&node.node_id).await;
                }
            }
        }
    }

    async fn end_all(&mut self, node: &str) {
        let not_followed = |error: &StoreError| {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                node,
                "a departure was not followed up yet"
            );
        };
        let commands = match store::read::open_on(&self.db, node).await {
            Ok(commands) => commands,
            Err(error) => return not_followed(&error),
        };
        for command in commands {
            let Ok(id) = command.parse::<CommandId>() else {
                continue;
            };
            if self.ended.contains(&(id, node.to_owned())) {
                continue;
            }
            let gone = [node.to_owned()];
            let now = self.clock.now().as_microsecond();
            match store::cancel::cancel(&self.db, id, Scope::Nodes(&gone), "", now).await {
                Ok(told) => {
                    if let Some((entry, _)) = told {
                        self.dispatcher.tell(vec![entry]);
                    }
                    if self.ended.len() >= REMEMBERED {
                        self.ended.clear();
                    }
                    self.ended.insert((id, node.to_owned()));
                }
                Err(error) => not_followed(&error),
            }
        }
    }
}
