//! What the agent says without being asked: who it is, that it lives, and whether there is work (agent.md B1.3, B7).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::subject::Subject;
use futures::FutureExt;
use futures::stream::SelectAll;
use muster_model::Clock;
use muster_proto::agent::v1::{Heartbeat, HelloRequest, HelloResult, NodeFacts, PullRequest, PullResult};
use muster_wire::subject;
use prost::Message;
use uuid::Uuid;

use super::agent::{Agent, Event};
use super::backoff::CONNECTION;
use super::bus::{self, CallError};
use super::errand::Errand;
use super::reconnect::REFUSED;
use crate::update::Versions;
use crate::{facts, machine};

/// Between two pulls when nothing rings.
const PULL: Duration = Duration::from_secs(60);
/// Between two hellos when nothing changes.
const HELLO: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two heartbeats unless the service wishes otherwise.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// What is told at once is told together with what comes within this.
const ALARM: Duration = Duration::from_secs(1);
/// A doorbell rings for many nodes at once; each takes a moment of its own within this.
const DOORBELL: Duration = Duration::from_millis(250);

/// When to say what.
pub(crate) struct Talk {
    pub(crate) hello: Errand,
    pull: Errand,
    pub(crate) heartbeat_due: Instant,
    heartbeat: Duration,
    /// When something was last reason enough not to wait for the next heartbeat.
    alarmed: Option<Instant>,
    /// Microseconds that this clock is ahead of the service's, once that is known.
    pub(crate) offset_us: Option<i64>,
    /// What the service was told last.
    told: Option<NodeFacts>,
    /// Since when the connection may be dead without knowing, because the machine has another address.
    doubtful_since: Option<Instant>,
    pull_asked: Instant,
    tags: BTreeSet<String>,
    /// Of this process.
    session: String,
    /// The service takes this machine for a copy: it neither works nor says that it lives.
    pub(crate) is_quarantined: bool,
}

impl Talk {
    pub(crate) fn new() -> Self {
        Self {
            hello: Errand::new(CONNECTION),
            pull: Errand::new(CONNECTION),
            heartbeat_due: Instant::now() + HEARTBEAT,
            heartbeat: HEARTBEAT,
            alarmed: None,
            offset_us: None,
            told: None,
            doubtful_since: None,
            pull_asked: Instant::now(),
            tags: BTreeSet::new(),
            session: Uuid::new_v4().simple().to_string(),
            is_quarantined: false,
        }
    }

    /// A new connection: say who we are, ask what is there.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.doubtful_since = None;
        self.hello.restart(now);
        self.pull.restart(now);
    }

    /// There is something in the next heartbeat that somebody should see soon; whoever causes it cannot cause many.
    pub(crate) fn alarm(&mut self, now: Instant) {
        let is_first = self
            .alarmed
            .is_none_or(|before| now.duration_since(before) >= HEARTBEAT);
        if is_first {
            self.alarmed = Some(now);
            self.heartbeat_due = self.heartbeat_due.min(now + ALARM);
        }
    }

    /// There is something to be asked at once.
    pub(crate) fn pull_soon(&mut self) {
        self.pull.wish(Instant::now() + DOORBELL);
    }

    /// A tag's doorbell rang.
    pub(crate) fn doorbell(&mut self, now: Instant, chance: f64) {
        self.pull.wish(now + DOORBELL.mul_f64(chance));
    }

    pub(crate) fn pulled(&mut self, now: Instant, clock_us: i64, answer: Result<PullResult, CallError>) {
        match answer {
            Ok(answer) => {
                tracing::debug!(expected = answer.expected, "pulled");
                if let Some(time) = answer.service_time {
                    self.offset_us = Some(offset(clock_us, now.duration_since(self.pull_asked), &time));
                }
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
        let pull = self.pull.due().filter(|_| !self.is_quarantined);
        let errands = [self.hello.due(), pull].into_iter().flatten();
        errands.fold(self.heartbeat_due, Instant::min)
    }
}

/// Microseconds that a clock is ahead of the service's, which looked at its own about half-way between question and
/// answer.
fn offset(clock_us: i64, round_trip: Duration, service: &prost_types::Timestamp) -> i64 {
    let half_way = i64::try_from(round_trip.as_micros() / 2).unwrap_or_default();
    let service_us = service
        .seconds
        .saturating_mul(1_000_000)
        .saturating_add(i64::from(service.nanos) / 1_000);
    clock_us.saturating_sub(half_way).saturating_sub(service_us)
}

/// A factor from 0.9 to 1.1, so that a fleet does not speak in chorus.
fn spread(chance: f64) -> f64 {
    0.9 + 0.2 * chance
}

impl Agent {
    /// Says what is due.
    pub(super) fn talk_if_due(&mut self, now: Instant) {
        if self.talk.hello.start(now) {
            let facts = facts::collect(&self.settings);
            // This hello may come before the news of the network: what it tells would then be no change any more.
            if self
                .talk
                .told
                .as_ref()
                .is_some_and(|told| told.ip_address != facts.ip_address)
            {
                self.talk.doubtful_since.get_or_insert(now);
            }
            let facts = Some(facts);
            self.talk.told.clone_from(&facts);
            let attributes = machine::attributes(&self.settings.host_root).into_iter().collect();
            let question = HelloRequest {
                facts,
                attributes,
                session: self.talk.session.clone(),
            };
            let (client, subject) = (self.client.clone(), subject::rpc(&self.node, subject::RPC_HELLO));
            self.tasks.push(Box::pin(async move {
                Event::Greeted(now, bus::call(&client, subject, HeaderMap::new(), &question).await)
            }));
        }
        if !self.talk.is_quarantined && self.talk.pull.start(now) {
            self.talk.pull_asked = now;
            let (nonce, work_keys_serial) = self.trust.question();
            let question = PullRequest {
                nonce,
                work_keys_serial,
                unfinished_run_ids: self.runs.keys().map(ToString::to_string).collect(),
            };
            let (client, subject) = (self.client.clone(), subject::rpc(&self.node, subject::RPC_WORK_PULL));
            self.tasks.push(Box::pin(async move {
                let answer = bus::ask(&client, subject, HeaderMap::new(), &question).await;
                Event::Pulled(answer.map(Box::new))
            }));
        }
        if self.talk.heartbeat_due <= now {
            self.talk.heartbeat_due = now + self.talk.heartbeat.mul_f64(spread(rand::random()));
            let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            if !self.talk.is_quarantined {
                let (distrusted, distrust) = self.trust.tell();
                let heartbeat = Heartbeat {
                    agent_version: facts::version().to_owned(),
                    running: count(self.queue.running()),
                    queued: count(self.queue.waiting().len()),
                    clock_offset_us: self.talk.offset_us.unwrap_or_default(),
                    distrusted,
                    distrust,
                };
                let subject = subject::up(&self.node, subject::UP_HEARTBEAT);
                self.publish(subject, heartbeat.encode_to_vec());
            }
            self.report.wish(now);
            if self.is_changed() {
                tracing::info!("something about this machine has changed");
                self.talk.hello.wish(now);
            }
        }
    }

    /// Whether the service knows something else about this machine.
    fn is_changed(&self) -> bool {
        let told = self.talk.told.as_ref();
        told.is_some_and(|told| *told != facts::collect(&self.settings))
    }

    /// Addresses or routes have changed. Without a connection it is the next attempt that matters (`bus`); with one
    /// the service is told, which also shows whether the connection has survived.
    pub(super) fn network_changed(&mut self) {
        if self.is_connected && self.is_changed() {
            tracing::info!("the network has changed: saying hello again");
            let now = Instant::now();
            self.talk.doubtful_since = Some(now);
            self.talk.hello.wish(now);
        }
    }

    /// Nobody has answered a hello. If the machine has another address since, that is taken for the end of the
    /// connection: the client itself would need up to a minute to notice it.
    fn doubt_connection(&mut self, asked: Instant, error: &CallError) {
        if error.is_silence() && self.talk.doubtful_since.is_some_and(|since| since <= asked) {
            tracing::warn!("the connection has not survived the change of the network");
            self.talk.doubtful_since = None;
            let client = self.client.clone();
            self.tasks.push(Box::pin(async move {
                // It fails only if the client has ended.
                let _ = client.force_reconnect().await;
                Event::Tick
            }));
        }
    }

    /// Fleet answered a hello, or did not.
    pub(super) fn greeted(&mut self, asked: Instant, answer: Result<HelloResult, CallError>) {
        let now = Instant::now();
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.is_final() => {
                tracing::error!(%error, "the service does not accept this node; asking again every 5 minutes");
                self.report.refusal = Some(format!("the service does not accept this node: {error}"));
                self.report.wish(now);
                self.talk.is_quarantined = error.is_of_a_copy();
                self.talk.hello.refused(now, REFUSED.mul_f64(spread(rand::random())));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "nobody answers the hello yet");
                self.doubt_connection(asked, &error);
                self.talk.hello.failed(now, rand::random());
                return;
            }
        };
        self.confirm_update();
        self.talk.is_quarantined = false;
        self.talk.doubtful_since = self.talk.doubtful_since.filter(|since| *since > asked);
        self.talk
            .hello
            .answered(now, Some(HELLO.mul_f64(spread(rand::random()))));
        if answer.heartbeat_seconds > 0 {
            let heartbeat = Duration::from_secs(u64::from(answer.heartbeat_seconds.clamp(5, 3600)));
            self.talk.heartbeat = heartbeat;
            self.talk.heartbeat_due = self.talk.heartbeat_due.min(now + heartbeat);
        }
        let clock = self.clock.now();
        if let Some(time) = &answer.service_time {
            self.talk.offset_us = Some(offset(clock.as_microsecond(), now.duration_since(asked), time));
        }
        self.report.refusal = None;
        self.report.answered(clock);
        self.look_at_claims(&answer);
        self.look_at_key(&answer);
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
