//! Follows a command's output: asks the nodes, hears their offers, tells a listener (`domain::following` decides).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use futures::StreamExt;
use muster_boot::Tasks;
use muster_model::{Clock, CommandId, NodeId};
use muster_proto::agent::v1::{Listen, OutputOffer, OutputStream};
use muster_proto::runcommand::v1::output_news::News as Told;
use muster_proto::runcommand::v1::{Command, FollowOutputRequest, OutputAway, OutputChunk, OutputEnd, OutputNews};
use muster_store::{Db, StoreError};
use muster_wire::{Failure, subject};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::following::{Following, LEASE, Step};
use crate::error::from_store;
use crate::store;
use crate::store::read::{PluginRow, statuses};

/// How often it is looked who is to be asked.
const LOOK: Duration = Duration::from_millis(50);
/// How often the invocations' statuses are read, with few nodes and with many.
const READ: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// What counts as many.
const MANY: usize = 1_000;
/// News that may wait for the listener; when it is slow the nodes wait, since nothing more is confirmed to them.
const WAITING: usize = 64;

/// Starts following commands.
#[derive(Debug, Clone)]
pub(crate) struct Followers {
    pub(crate) db: Db,
    pub(crate) nats: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
    /// Cancelled when listeners must be let go.
    pub(crate) stopping: CancellationToken,
}

impl Followers {
    /// The news of a command's output, until the command is over or the receiver is dropped.
    ///
    /// # Errors
    /// If the database or the bus does not answer.
    pub(crate) async fn follow(
        &self,
        id: CommandId,
        request: &FollowOutputRequest,
    ) -> Result<mpsc::Receiver<OutputNews>, Failure> {
        let only: HashSet<&str> = request.instance_ids.iter().map(String::as_str).collect();
        let nodes = statuses(&self.db, id).await.map_err(from_store)?;
        let nodes = nodes
            .into_iter()
            .filter(|(node, _)| only.is_empty() || only.contains(node.as_str()));
        let have = request.cursors.iter().map(|cursor| {
            let stream = (cursor.step.clone(), cursor.stream());
            (cursor.instance_id.clone(), stream, cursor.offset)
        });
        let following = Following::new(nodes, have, self.clock.now());
        let listener = Uuid::new_v4().simple().to_string();
        let unavailable = |_| Failure::Unavailable {
            what: "the bus".to_owned(),
        };
        let offers = self
            .nats
            .subscribe(subject::up_output_of_all(&listener))
            .await
            .map_err(unavailable)?;
        let (sender, news) = mpsc::channel(WAITING);
        let follower = Follower {
            is_partial: !only.is_empty(),
            all: self.clone(),
            id,
            following,
            listener,
            sender,
        };
        // It ends with the command, with its listener, or with the service; nobody need wait for it.
        self.tasks.spawn("follower", async move {
            follower.run(offers).await;
            Ok(())
        });
        Ok(news)
    }
}

struct Follower {
    all: Followers,
    id: CommandId,
    following: Following,
    listener: String,
    sender: mpsc::Sender<OutputNews>,
    /// Only some of the command's nodes are followed.
    is_partial: bool,
}

/// The listener is gone.
struct Gone;

impl Follower {
    async fn run(mut self, mut offers: async_nats::Subscriber) {
        let mut looks = tokio::time::interval(LOOK);
        let mut reads = tokio::time::interval(if self.following.len() > MANY { READ.1 } else { READ.0 });
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        reads.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = self.sender.clone();
        loop {
            let mut steps = Vec::new();
            tokio::select! {
                () = self.all.stopping.cancelled() => return,
                () = closed.closed() => return,
                offer = offers.next() => match offer {
                    Some(message) => self.hear(&message, &mut steps),
                    None => return,
                },
                _ = reads.tick() => self.read().await,
                _ = looks.tick() => self.following.due(self.all.clock.now(), &mut steps),
            }
            for step in steps {
                if self.carry_out(step).await.is_err() {
                    return;
                }
            }
            if self.following.is_over() && self.conclude().await {
                return;
            }
        }
    }

    fn hear(&mut self, message: &async_nats::Message, steps: &mut Vec<Step>) {
        // The node is who the broker says it is.
        let Ok(node) = subject::node_of(&message.subject) else {
            return;
        };
        match OutputOffer::decode(message.payload.as_ref()) {
            Ok(offer) if offer.run_id == self.id.to_string() => {
                let now = self.all.clock.now();
                self.following.offered(node.as_str(), offer, now, steps);
                self.following.due_for(node.as_str(), now, steps);
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "an offer that is none"),
        }
    }

    async fn read(&mut self) {
        match statuses(&self.all.db, self.id).await {
            Ok(statuses) => {
                let now = self.all.clock.now();
                for (node, status) in statuses {
                    self.following.status(&node, status, now);
                }
            }
            Err(error) => complain(&error),
        }
    }

    async fn carry_out(&mut self, step: Step) -> Result<(), Gone> {
        match step {
            Step::Ask {
                node,
                arrived,
                window,
                rewind,
            } => {
                self.ask(&node, arrived, window, rewind).await;
                Ok(())
            }
            Step::Chunk { node, chunk } => self.tell(node, Told::Chunk(chunk)).await,
            Step::End { node, details } => self.tell_end(node, details).await,
            Step::EndWithExcerpt { node, details } => {
                if !self.following.has_output_of(&node) {
                    self.tell_excerpt(&node).await?;
                }
                self.tell_end(node, details).await
            }
            Step::Away { node } => self.tell(node, Told::Away(OutputAway {})).await,
        }
    }

    async fn ask(&self, node: &str, arrived: Vec<muster_proto::agent::v1::OutputPosition>, window: u64, rewind: bool) {
        let Ok(node) = node.parse::<NodeId>() else {
            return;
        };
        let listen = Listen {
            run_id: self.id.to_string(),
            listener: self.listener.clone(),
            arrived,
            window_bytes: window,
            lease_ms: u32::try_from(LEASE.as_millis()).unwrap_or(u32::MAX),
            rewind,
        };
        let payload = listen.encode_to_vec().into();
        if let Err(error) = self.all.nats.publish(subject::output(&node), payload).await {
            // It is asked again.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a node was not asked for its output"
            );
        }
    }

    async fn tell_end(&self, node: String, details: &str) -> Result<(), Gone> {
        let end = OutputEnd {
            status_details: details.to_owned(),
        };
        self.tell(node, Told::End(end)).await
    }

    /// What the result kept of a node that does not have its output any more.
    async fn tell_excerpt(&self, node: &str) -> Result<(), Gone> {
        let id = self.id.to_string();
        let steps = match store::read::plugins(&self.all.db, &[(&id, node)]).await {
            Ok(steps) => steps,
            Err(error) => {
                complain(&error);
                return Ok(());
            }
        };
        for step in &steps {
            for (stream, text) in [
                (OutputStream::Stdout, &step.stdout),
                (OutputStream::Stderr, &step.stderr),
            ] {
                if !text.is_empty() {
                    let chunk = excerpt(step, stream, text);
                    self.tell(node.to_owned(), Told::Chunk(chunk)).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether the listener was told the last thing.
    async fn conclude(&self) -> bool {
        let command = match self.command().await {
            Ok(Some(command)) => command,
            Ok(None) => return true,
            Err(error) => {
                complain(&error);
                return false;
            }
        };
        // The status is written with the last invocation, so that it is there when all of them have ended.
        let last = OutputNews {
            instance_id: String::new(),
            news: Some(Told::Command(Box::new(command))),
        };
        let _ = self.sender.send(last).await;
        true
    }

    async fn command(&self) -> Result<Option<Command>, StoreError> {
        let row = store::read::command(&self.all.db, self.id).await?;
        row.filter(|row| row.finished || self.is_partial || row.target_count == 0)
            .map(|row| crate::api::shown(&row))
            .transpose()
    }

    async fn tell(&self, node: String, news: Told) -> Result<(), Gone> {
        let news = OutputNews {
            instance_id: node,
            news: Some(news),
        };
        self.sender.send(news).await.map_err(|_| Gone)
    }
}

fn excerpt(step: &PluginRow, stream: OutputStream, text: &str) -> OutputChunk {
    OutputChunk {
        step: format!("{}.{}", step.action.replace(':', ""), step.name),
        stream: stream.into(),
        offset: 0,
        data: text.as_bytes().to_vec(),
        is_excerpt: true,
    }
}

fn complain(error: &StoreError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "live output waits for the database"
    );
}
