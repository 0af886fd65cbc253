//! What the agent says without being asked: who it is, that it lives, and whether there is work (agent.md B1.3, B7).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::subject::Subject;
use futures::FutureExt;
use futures::stream::SelectAll;
use muster_model::Clock;
use muster_proto::agent::v1::{Heartbeat, HelloRequest, HelloResult, PullRequest, PullResult};
use muster_wire::subject;
use prost::Message;

use super::agent::{Agent, Event};
use super::backoff::CONNECTION;
use super::bus::{self, CallError};
use super::errand::Errand;
use crate::facts;
use crate::update::Versions;

/// Between two pulls when nothing rings.
const PULL: Duration = Duration::from_secs(60);
/// Between two hellos when nothing changes.
const HELLO: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two heartbeats unless the service wishes otherwise.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// A doorbell rings for many nodes at once; each takes a moment of its own within this.
const DOORBELL: Duration = Duration::from_millis(250);

/// When to say what.
pub(crate) struct Talk {
    pub(crate) hello: Errand,
    pull: Errand,
    pub(crate) heartbeat_due: Instant,
    heartbeat: Duration,
    /// Microseconds that this clock is ahead of the service's.
    offset_us: i64,
    tags: BTreeSet<String>,
}

impl Talk {
    pub(crate) fn new() -> Self {
        Self {
            hello: Errand::new(CONNECTION),
            pull: Errand::new(CONNECTION),
            heartbeat_due: Instant::now() + HEARTBEAT,
            heartbeat: HEARTBEAT,
            offset_us: 0,
            tags: BTreeSet::new(),
        }
    }

    /// A new connection: say who we are, ask what is there.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.hello.restart(now);
        self.pull.restart(now);
    }

    /// A tag's doorbell rang.
    pub(crate) fn doorbell(&mut self, now: Instant, chance: f64) {
        self.pull.wish(now + DOORBELL.mul_f64(chance));
    }

    pub(crate) fn pulled(&mut self, now: Instant, answer: Result<PullResult, CallError>) {
        match answer {
            Ok(answer) => {
                tracing::debug!(expected = answer.expected, "pulled");
                self.pull.answered(now, Some(PULL.mul_f64(spread(rand::random()))));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot pull work yet");
                self.pull.failed(now, rand::random());
            }
        }
    }

    /// When there will be something to say.
    pub(crate) fn due(&self) -> Instant {
        let errands = [self.hello.due(), self.pull.due()].into_iter().flatten();
        errands.fold(self.heartbeat_due, Instant::min)
    }
}

/// A factor from 0.9 to 1.1, so that a fleet does not speak in chorus.
fn spread(chance: f64) -> f64 {
    0.9 + 0.2 * chance
}

impl Agent {
    /// Says what is due.
    pub(super) fn talk_if_due(&mut self, now: Instant) {
        if self.talk.hello.start(now) {
            let question = HelloRequest {
                facts: Some(facts::collect(&self.settings)),
            };
            let (client, subject) = (self.client.clone(), subject::rpc(&self.node, subject::RPC_HELLO));
            self.tasks.push(Box::pin(async move {
                Event::Greeted(now, bus::call(&client, subject, HeaderMap::new(), &question).await)
            }));
        }
        if self.talk.pull.start(now) {
            let question = PullRequest {
                unfinished_run_ids: self.runs.keys().map(ToString::to_string).collect(),
            };
            let (client, subject) = (self.client.clone(), subject::rpc(&self.node, subject::RPC_WORK_PULL));
            self.tasks.push(Box::pin(async move {
                Event::Pulled(bus::call(&client, subject, HeaderMap::new(), &question).await)
            }));
        }
        if self.talk.heartbeat_due <= now {
            self.talk.heartbeat_due = now + self.talk.heartbeat.mul_f64(spread(rand::random()));
            let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            let heartbeat = Heartbeat {
                agent_version: facts::version().to_owned(),
                running: count(self.queue.running()),
                queued: count(self.queue.waiting().len()),
                clock_offset_us: self.talk.offset_us,
            };
            self.publish(
                subject::up(&self.node, subject::UP_HEARTBEAT),
                heartbeat.encode_to_vec(),
            );
        }
    }

    /// Fleet answered a hello, or did not.
    pub(super) fn greeted(&mut self, asked: Instant, answer: Result<HelloResult, CallError>) {
        let now = Instant::now();
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, "nobody answers the hello yet");
                self.talk.hello.failed(now, rand::random());
                return;
            }
        };
        self.confirm_update();
        self.talk
            .hello
            .answered(now, Some(HELLO.mul_f64(spread(rand::random()))));
        if answer.heartbeat_seconds > 0 {
            let heartbeat = Duration::from_secs(u64::from(answer.heartbeat_seconds.clamp(5, 3600)));
            self.talk.heartbeat = heartbeat;
            self.talk.heartbeat_due = self.talk.heartbeat_due.min(now + heartbeat);
        }
        if let Some(time) = answer.service_time {
            // The service looked at its clock about half-way between question and answer.
            let half_way = i64::try_from(now.duration_since(asked).as_micros() / 2).unwrap_or_default();
            let service = time
                .seconds
                .saturating_mul(1_000_000)
                .saturating_add(i64::from(time.nanos) / 1_000);
            self.talk.offset_us = self
                .clock
                .now()
                .as_microsecond()
                .saturating_sub(half_way)
                .saturating_sub(service);
        }
        self.listen_to(
            answer
                .tags
                .iter()
                .map(|(key, value)| subject::tag(key, value))
                .collect(),
        );
    }

    /// A version on trial has shown what it must: it reaches its service.
    fn confirm_update(&self) {
        match Versions::at(self.state.root()).confirm(facts::version()) {
            Ok(true) => tracing::info!(version = facts::version(), "the update is confirmed"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "cannot confirm the update"),
        }
    }

    /// Listens to the doorbells of these tags and no others.
    fn listen_to(&mut self, tags: BTreeSet<String>) {
        if tags == self.talk.tags {
            return;
        }
        // Dropping a subscription ends it.
        self.doorbells = SelectAll::new();
        self.talk.tags.clone_from(&tags);
        let client = self.client.clone();
        self.tasks.push(Box::pin(async move {
            let mut doorbells = Vec::new();
            for tag in tags {
                match client.subscribe(tag).await {
                    Ok(doorbell) => doorbells.push(doorbell),
                    Err(error) => tracing::error!(%error, "cannot listen to a tag's doorbell"),
                }
            }
            Event::Subscribed(doorbells)
        }));
        // Something may have rung before we listened.
        self.talk.pull.wish(Instant::now());
    }

    /// Says something that needs no answer.
    pub(super) fn publish(&self, subject: String, payload: Vec<u8>) {
        let client = self.client.clone();
        let mut publish = Box::pin(async move {
            if let Err(error) = client.publish(Subject::from(subject), payload.into()).await {
                tracing::warn!(%error, "cannot publish");
            }
            Event::Tick
        });
        // The connection's queue has room almost always; then the message is on its way before we go on.
        if publish.as_mut().now_or_never().is_none() {
            self.tasks.push(publish);
        }
    }
}
