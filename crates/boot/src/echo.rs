//! Whether the broker has surely had what was published: a message of our own comes back over the same connection, and the
//! broker handles what one connection says in its order. That the client has written something says nothing of that.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, SubscribeError, Subscriber};
use futures::StreamExt as _;
use uuid::Uuid;

/// How long the broker may take to give a message back.
const PATIENCE: Duration = Duration::from_secs(5);

/// An inbox of our own, from which messages come back.
#[derive(Debug)]
pub struct Echo {
    nats: Client,
    subject: String,
    messages: Subscriber,
}

/// A moment before something was published.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// How often the bus had been reached.
    connects: u64,
}

impl Echo {
    /// An echo of what goes over this connection.
    ///
    /// # Errors
    /// If the bus does not take the subscription.
    pub async fn open(nats: Client) -> Result<Self, SubscribeError> {
        let subject = nats.new_inbox();
        let messages = nats.subscribe(subject.clone()).await?;
        Ok(Self {
            nats,
            subject,
            messages,
        })
    }

    /// Whether the bus is there; what is published while it is not only waits in memory.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.nats.connection_state() == State::Connected
    }

    /// The moment from which on something is published.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            connects: self.nats.statistics().connects.load(Ordering::Relaxed),
        }
    }

    /// Waits until the broker has surely had all that was published after the mark; `false` if that is not known.
    pub async fn confirms(&mut self, mark: Mark) -> bool {
        let word = Uuid::new_v4().to_string();
        if self
            .nats
            .publish(self.subject.clone(), word.clone().into())
            .await
            .is_err()
        {
            return false;
        }
        let back = async {
            while let Some(message) = self.messages.next().await {
                if message.payload.as_ref() == word.as_bytes() {
                    return true;
                }
            }
            false
        };
        let came_back = tokio::time::timeout(PATIENCE, back).await.unwrap_or(false);
        // Over another connection it says nothing of what the one before it took along.
        came_back && self.mark().connects == mark.connects
    }
}
