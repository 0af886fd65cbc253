//! What the bus alone can do: the same messages without a coordinator and without a disk.

use std::time::{Duration, Instant};

use anyhow::Result;
use async_nats::Client;
use futures::StreamExt;
use tokio::task::JoinSet;

use crate::world::World;

/// Nodes that answer whatever comes after `delay`.
#[derive(Debug)]
pub(crate) struct Echoes(JoinSet<()>);

const CONNECTIONS: usize = 8;

impl Echoes {
    pub(crate) async fn start(world: &World, nodes: usize, delay: Duration) -> Result<Self> {
        let mut tasks = JoinSet::new();
        for number in 0..CONNECTIONS {
            let nats = world
                .floor()?
                .client_capacity(64 * 1024)
                .connect(&world.ready.nats)
                .await?;
            for node in (number..nodes).step_by(CONNECTIONS) {
                let mut mine = nats.subscribe(format!("floor.{node}")).await?;
                let nats = nats.clone();
                tasks.spawn(async move {
                    while let Some(message) = mine.next().await {
                        if !delay.is_zero() {
                            tokio::time::sleep(delay).await;
                        }
                        if let Some(reply) = message.reply {
                            let _ = nats.publish(reply, "done".into()).await;
                        }
                    }
                });
            }
            nats.flush().await?;
        }
        Ok(Self(tasks))
    }

    pub(crate) fn stop(mut self) {
        self.0.abort_all();
    }
}

/// One message of 1 KiB to each node, `window` of them in flight, until the last has answered.
pub(crate) async fn fan_out(nats: &Client, nodes: usize, window: usize) -> Result<Duration> {
    let payload = bytes::Bytes::from(vec![b'x'; 1024]);
    let inbox = nats.new_inbox();
    let mut answers = nats.subscribe(inbox.clone()).await?;
    nats.flush().await?;
    let started = Instant::now();
    let mut sent = 0;
    for answered in 0..nodes {
        while sent < nodes && sent - answered < window {
            nats.publish_with_reply(format!("floor.{sent}"), inbox.clone(), payload.clone())
                .await?;
            sent += 1;
        }
        answers.next().await;
    }
    Ok(started.elapsed())
}
