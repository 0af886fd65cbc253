//! Passes a command's output on to a listener on NATS: `muster.v1.output.<person>.<listener>`.
//!
//! A message is the bytes that a step wrote; headers say whose they are, so that any client can print it.
//! A listener either confirms what has arrived, and gets it as fast as it does, or gets a bounded rate.
//! It is noticed when nobody is subscribed any more: the broker says so for each message.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, StatusCode, Subscriber};
use futures::StreamExt;
use muster_proto::agent::v1::OutputStream;
use muster_proto::runcommand::v1::output_news::News as Told;
use muster_proto::runcommand::v1::{OutputNews, OutputSeen};
use muster_wire::{Failure, reply_of, subject};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Bytes a second for a listener that confirms nothing.
const RATE: u64 = 1024 * 1024;
/// A listener that confirms must do so at least this often.
const SILENCE: Duration = Duration::from_secs(15);
/// Names the offer that took a listener over.
const OFFER: &str = "Muster-Offer";

/// One listener.
pub(crate) struct Offer {
    nats: Client,
    /// Where the listener hears.
    subject: String,
    window: u64,
    id: String,
    /// What the listener says.
    seen: Subscriber,
    /// Where the broker says that nobody listens.
    inbox: String,
    unheard: Subscriber,
    stopping: CancellationToken,
}

/// Why an offer ends before the news do.
struct Ended;

impl Offer {
    /// Prepares an offer; an older one for the same listener ends.
    ///
    /// # Errors
    /// If the bus does not answer.
    pub(crate) async fn open(
        nats: &Client,
        [person, listener]: [&str; 2],
        window: u64,
        stopping: CancellationToken,
    ) -> Result<Self, Failure> {
        let away = || Failure::Unavailable {
            what: "the bus".to_owned(),
        };
        let id = Uuid::new_v4().simple().to_string();
        let inbox = nats.new_inbox();
        let seen = nats
            .subscribe(subject::output_seen(person, listener))
            .await
            .map_err(|_| away())?;
        let unheard = nats.subscribe(inbox.clone()).await.map_err(|_| away())?;
        let mut headers = HeaderMap::new();
        headers.insert(OFFER, id.as_str());
        nats.publish_with_headers(subject::output_seen(person, listener), headers, bytes::Bytes::new())
            .await
            .map_err(|_| away())?;
        nats.flush().await.map_err(|_| away())?;
        Ok(Self {
            nats: nats.clone(),
            subject: subject::output_for(person, listener),
            window,
            id,
            seen,
            inbox,
            unheard,
            stopping,
        })
    }

    /// Passes the news on until they end or nobody listens.
    pub(crate) async fn pass_on(mut self, mut news: mpsc::Receiver<OutputNews>) {
        let subject: Arc<str> = self.subject.as_str().into();
        let (mut sent, mut arrived) = (0_u64, 0_u64);
        let mut heard_at = Instant::now();
        let mut not_before = Instant::now();
        loop {
            let may_send = self.window == 0 || sent.saturating_sub(arrived) < self.window;
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                message = self.unheard.next() => match message {
                    Some(message) if message.status == Some(StatusCode::NO_RESPONDERS) => return,
                    Some(_) => {}
                    None => return,
                },
                message = self.seen.next() => match message {
                    Some(message) => match self.hear(message).await {
                        Ok(Some(bytes)) => {
                            arrived = arrived.max(bytes);
                            heard_at = Instant::now();
                        }
                        Ok(None) => {}
                        Err(Ended) => return,
                    },
                    None => return,
                },
                () = tokio::time::sleep_until(heard_at + SILENCE), if self.window > 0 => return,
                one = next(&mut news, not_before), if may_send => match one {
                    Some(one) => {
                        let size = self.send(&subject, one).await;
                        sent += size;
                        if self.window == 0 {
                            let pause = Duration::from_micros(size.saturating_mul(1_000_000) / RATE);
                            not_before = not_before.max(Instant::now()) + pause;
                        }
                    }
                    None => return,
                },
            }
        }
    }

    /// What the listener has, if it says so.
    async fn hear(&self, message: async_nats::Message) -> Result<Option<u64>, Ended> {
        let offer = message.headers.as_ref().and_then(|headers| headers.get(OFFER));
        if let Some(offer) = offer {
            return if offer.as_str() == self.id {
                Ok(None)
            } else {
                Err(Ended)
            };
        }
        if let Some(reply) = reply_of(&message) {
            // Lost answers are asked for again.
            let _ = self.nats.publish(reply, bytes::Bytes::new()).await;
        }
        Ok(OutputSeen::decode(message.payload).ok().map(|seen| seen.bytes))
    }

    /// Says how many bytes went out.
    async fn send(&self, subject: &Arc<str>, news: OutputNews) -> u64 {
        let (headers, payload) = message(news);
        let size = payload.len() as u64;
        let sent = self
            .nats
            .publish_with_reply_and_headers(subject.to_string(), self.inbox.clone(), headers, payload)
            .await;
        if let Err(error) = sent {
            tracing::debug!(error = &error as &dyn std::error::Error, "output was not passed on");
        }
        size
    }
}

async fn next(news: &mut mpsc::Receiver<OutputNews>, not_before: Instant) -> Option<OutputNews> {
    tokio::time::sleep_until(not_before).await;
    news.recv().await
}

/// A piece of news as headers and bytes.
fn message(news: OutputNews) -> (HeaderMap, bytes::Bytes) {
    let mut headers = HeaderMap::new();
    if !news.instance_id.is_empty() {
        headers.insert("Muster-Node", news.instance_id.as_str());
    }
    let mut kind = |word: &str| headers.insert("Muster-News", word);
    let payload = match news.news {
        Some(Told::Chunk(chunk)) => {
            kind("chunk");
            let stream = match chunk.stream() {
                OutputStream::Stderr => "stderr",
                OutputStream::Stdout | OutputStream::Unset => "stdout",
            };
            headers.insert("Muster-Step", chunk.step.as_str());
            headers.insert("Muster-Stream", stream);
            headers.insert("Muster-Offset", chunk.offset.to_string());
            if chunk.is_excerpt {
                headers.insert("Muster-Excerpt", "true");
            }
            chunk.data.into()
        }
        Some(Told::End(end)) => {
            kind("end");
            headers.insert("Muster-Status", end.status_details.as_str());
            bytes::Bytes::new()
        }
        Some(Told::Away(_)) => {
            kind("away");
            bytes::Bytes::new()
        }
        Some(Told::Command(command)) => {
            kind("command");
            headers.insert("Muster-Status", command.status_details());
            bytes::Bytes::new()
        }
        None => bytes::Bytes::new(),
    };
    (headers, payload)
}
