//! The loop's state, and what each event changes.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use async_nats::{Client, Message, Subscriber};
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, SelectAll};
use muster_credential::Creds;
use muster_model::{Clock, NodeId, SystemClock};
use muster_proto::agent::v1::{HelloResult, PullResult, RenewResult, ReplyResult, RotateResult};
use muster_wire::subject;
use tokio::net::UnixStream;

use super::Loaded;
use super::backoff::UPLOADS;
use super::bus::{Answer, CallError, Link};
use super::desk::Desk;
use super::errand::Errand;
use super::live::Live;
use super::outbox::Outbox;
use super::queue::Queue;
use super::reboot::Reboot;
use super::renewal::Renewal;
use super::rotation::Rotation;
use super::runners::{RunnerProcess, Starter};
use super::talk::Talk;
use super::tidying::Findings;
use super::trust::Trust;
use super::upkeep::Upkeep;
use super::work::Intake;
use crate::facts;
use crate::journal::{Deadline, Moment, RebootAsked, RunId};
use crate::settings::Settings;
use crate::state::StateDir;
use crate::update;

/// How long the end waits for news to be delivered.
const FLUSH: Duration = Duration::from_secs(10);

/// Something that happened.
pub(crate) enum Event {
    /// The connection came or went.
    Link(Link),
    /// The coordinator or another service says something to this node.
    Message(Message),
    /// A tag's doorbell rang.
    Doorbell,
    /// A runner says that there is news of the run it names.
    News(Vec<u8>),
    /// A runner asks something of a service.
    Asked(UnixStream),
    /// What a service answered to a runner is not believed.
    Distrusted(String),
    /// New runs are in the journal, or could not be written.
    Journaled(Vec<RunId>, io::Result<()>),
    /// A runner process ended, with this exit code if it was our child.
    RunnerEnded(RunId, Option<i32>),
    /// It is time to try a runner again.
    RunnerDue(RunId),
    /// A reply request ended; the number counts connections.
    Replied(RunId, u64, Result<ReplyResult, CallError>),
    /// A hello ended; when it was asked.
    Greeted(Instant, Result<HelloResult, CallError>),
    /// A renewal of the node's credentials ended.
    Renewed(Result<RenewResult, CallError>),
    /// An attempt to renew claims that the server refuses ended.
    Recovered(Result<Box<Creds>, String>),
    /// An offer of another key ended.
    KeyOffered(Result<RotateResult, CallError>),
    /// The confirmation of another key ended.
    KeyConfirmed(Result<RenewResult, CallError>),
    /// A pull ended.
    Pulled(Result<Box<Answer<PullResult>>, CallError>),
    /// Subscriptions to the doorbells of the node's tags.
    Subscribed(Vec<Subscriber>),
    /// The command that boots the machine ended.
    RebootAsked(RebootAsked, Result<(), String>),
    /// The process that stores outputs ended, and whether it left nothing.
    UploadsEnded(bool),
    /// The disk was looked at.
    UpkeepDone(Option<Box<Findings>>),
    /// The configuration was read again.
    Settings(Box<Loaded>),
    /// Addresses or routes of the machine are others now.
    NetworkChanged,
    /// Come to an end.
    Stop,
    /// Nothing but time passed.
    Tick,
}

/// A run in the journal that is not finished and confirmed.
#[derive(Debug)]
pub(crate) struct Run {
    /// When it was accepted, in microseconds: its age among the runs.
    pub(crate) age: i64,
    pub(crate) traceparent: String,
    pub(crate) phase: Phase,
    /// Records up to this one are confirmed.
    pub(crate) confirmed: u64,
    /// Runners that ended without bringing the run to its end.
    pub(crate) failures: u32,
}

/// How far a run has come, on this node.
#[derive(Debug)]
pub(crate) enum Phase {
    /// On its way into the journal. A cancel may have come already.
    Arriving { is_cancelled: bool },
    /// In the queue, until its deadline.
    Waiting(Option<Deadline>),
    /// It has left the queue; between two runners there may be none for a moment.
    Running(Option<RunnerProcess>),
    /// A step asked for a reboot: there is no runner until the machine has booted.
    Rebooting,
    /// Its end is in the journal.
    Over,
}

/// Everything the agent knows.
pub(crate) struct Agent {
    pub(super) state: StateDir,
    pub(super) settings: Settings,
    pub(super) node: NodeId,
    pub(super) client: Client,
    pub(super) starter: Starter,
    pub(super) boot_id: String,
    pub(super) clock: SystemClock,
    pub(super) runs: HashMap<RunId, Run>,
    pub(super) queue: Queue,
    pub(super) outbox: Outbox,
    pub(super) intake: Intake,
    pub(super) talk: Talk,
    pub(super) trust: Trust,
    pub(super) renewal: Renewal,
    pub(super) rotation: Rotation,
    pub(super) reboot: Reboot,
    /// Why the last attempt to boot did not help.
    pub(super) reboot_failure: String,
    pub(super) uploads: Errand,
    pub(super) live: Live,
    /// Side effects on their way.
    pub(crate) tasks: FuturesUnordered<LocalBoxFuture<'static, Event>>,
    /// What is said to this node.
    pub(crate) inbox: SelectAll<Subscriber>,
    /// The doorbells of its tags.
    pub(crate) doorbells: SelectAll<Subscriber>,
    /// Counts connections, so that an answer to a lost request is recognised.
    pub(super) connection: u64,
    pub(super) is_connected: bool,
    pub(super) upkeep: Upkeep,
    pub(super) report: Desk,
    stop_by: Option<Instant>,
    is_restarting: bool,
}

impl Agent {
    pub(crate) fn new(state: StateDir, loaded: Loaded, node: NodeId, client: Client, starter: Starter) -> Self {
        let Loaded { settings, problem } = loaded;
        let queue = Queue::new(settings.concurrency, settings.queue);
        let boot_id = facts::boot_id(&settings);
        Self {
            state,
            settings,
            node,
            client,
            starter,
            boot_id,
            clock: SystemClock,
            runs: HashMap::new(),
            queue,
            outbox: Outbox::default(),
            intake: Intake::default(),
            talk: Talk::new(),
            trust: Trust::default(),
            renewal: Renewal::new(),
            rotation: Rotation::new(),
            reboot: Reboot::default(),
            reboot_failure: String::new(),
            uploads: Errand::new(UPLOADS),
            live: Live::new(),
            tasks: FuturesUnordered::new(),
            inbox: SelectAll::new(),
            doorbells: SelectAll::new(),
            connection: 0,
            is_connected: false,
            upkeep: Upkeep::new(),
            report: Desk::new(problem),
            stop_by: None,
            is_restarting: false,
        }
    }

    /// Subscribes to what is said to this node. The subscription lives as long as the client, through reconnects.
    pub(crate) async fn subscribe(&mut self) {
        match self.client.subscribe(subject::everything_for(&self.node)).await {
            Ok(subscriber) => self.inbox.push(subscriber),
            Err(error) => tracing::error!(%error, "cannot subscribe"),
        }
    }

    /// Changes the state as the event demands.
    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::Link(link) => self.linked(link),
            Event::Message(message) => self.told(&message),
            Event::Doorbell => self.talk.doorbell(Instant::now(), rand::random()),
            Event::News(name) if name == update::RESTART => self.restart(),
            Event::News(name) => {
                if let Some(run) = std::str::from_utf8(&name).ok().and_then(|name| name.parse().ok()) {
                    self.heard_of(run);
                }
            }
            Event::Asked(stream) => self.carry(stream),
            Event::Journaled(runs, outcome) => self.journaled(&runs, outcome),
            Event::RunnerEnded(run, code) => {
                self.runner_ended(run, code);
                self.look_for_new_uploads();
            }
            Event::RunnerDue(run) => self.find_or_start_runner(run),
            Event::Replied(run, connection, answer) => self.replied(run, connection, answer),
            Event::Greeted(asked, answer) => self.greeted(asked, answer),
            Event::Renewed(answer) => self.renewed(answer),
            Event::Recovered(outcome) => self.recovered(outcome),
            Event::KeyOffered(answer) => self.key_offered(answer),
            Event::KeyConfirmed(answer) => self.key_confirmed(answer),
            Event::Pulled(answer) => {
                let now = self.clock.now();
                if answer.is_ok() {
                    self.report.answered(now);
                }
                if let Ok(answer) = &answer {
                    self.hear_coordinator(answer);
                }
                let answer = answer.map(|answer| answer.content);
                self.talk.pulled(Instant::now(), now.as_microsecond(), answer);
            }
            Event::Subscribed(doorbells) => self.doorbells.extend(doorbells),
            Event::RebootAsked(attempt, outcome) => self.reboot_asked(attempt, outcome),
            Event::UploadsEnded(is_done) => self.uploads_ended(is_done),
            Event::UpkeepDone(findings) => self.disk_looked_at(findings.map(|findings| *findings)),
            Event::Settings(loaded) => self.reconfigure(*loaded),
            Event::NetworkChanged => self.network_changed(),
            Event::Stop => self.stop(),
            Event::Distrusted(why) => self.distrust(&why),
            Event::Tick => {}
        }
    }

    /// Does everything that is due.
    pub(crate) fn act(&mut self) {
        let now = Instant::now();
        self.write_journal();
        if self.is_connected {
            self.send_replies(now);
        }
        if self.is_stopping() {
            return;
        }
        self.start_what_may();
        self.reboot_if_due(now);
        self.store_if_due(now);
        if self.is_connected {
            self.talk_if_due(now);
            self.renew_if_due(now);
            self.rotate_if_due(now);
            self.offer_output(now);
        }
        if self.upkeep.is_due(now) {
            self.look_after_disk();
        }
        if self.report.is_due(now) {
            self.write_report(now);
        }
    }

    /// When `act` will have something to do even if nothing happens.
    pub(crate) fn next_due(&self) -> Instant {
        let replies = self
            .outbox
            .due()
            .filter(|_| self.is_connected && !self.outbox.is_busy());
        let other = match self.stop_by {
            Some(stop_by) => stop_by,
            None if self.is_connected => {
                let talk = self.own_due().min(self.talk.due());
                [self.live.due(), self.renewal.due(), self.rotation.due()]
                    .into_iter()
                    .flatten()
                    .fold(talk, Instant::min)
            }
            None => self.own_due(),
        };
        let own = [self.reboot.due(self.reboot_patience()), self.uploads.due()];
        let own = own.into_iter().flatten().filter(|_| self.stop_by.is_none());
        replies.into_iter().chain(own).fold(other, Instant::min)
    }

    /// Whether the end was asked for.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop_by.is_some()
    }

    /// Whether the program is to begin anew after the end.
    pub(crate) fn is_restarting(&self) -> bool {
        self.is_restarting
    }

    /// Whether there is nothing left to do before the end, or no time to do it.
    pub(crate) fn is_done(&self) -> bool {
        let is_idle = self.intake.is_empty() && (self.outbox.is_empty() || !self.is_connected);
        self.stop_by.is_some_and(|stop_by| is_idle || stop_by <= Instant::now())
    }

    /// Sends what is still in the connection's buffers.
    pub(crate) async fn close(&mut self) {
        if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(1), self.client.flush()).await {
            tracing::debug!(%error, "the last messages may be lost; they are not the last copy");
        }
        let _ = std::fs::remove_file(self.state.notify_socket());
    }

    /// The present, as deadlines need it.
    pub(super) fn moment(&self) -> Moment {
        facts::moment(&self.boot_id, self.clock.now())
    }

    /// When something that needs no connection is due.
    fn own_due(&self) -> Instant {
        self.upkeep.due().min(self.report.due())
    }

    fn linked(&mut self, link: Link) {
        self.report.linked(self.clock.now());
        match link {
            Link::Up => {
                tracing::info!("connected");
                self.connection += 1;
                self.is_connected = true;
                self.report.refusal = None;
                let now = Instant::now();
                self.talk.restart(now);
                self.outbox.restart(now);
            }
            Link::Down => {
                tracing::warn!("connection lost");
                self.is_connected = false;
                self.rotation.disconnected();
            }
            Link::Refused => {
                self.report.refusal = Some("the server refuses this node's credentials".to_owned());
                self.try_other_key();
                self.recover();
            }
        }
    }

    fn reconfigure(&mut self, loaded: Loaded) {
        let Loaded { settings, problem } = loaded;
        tracing::info!("configuration read");
        self.report.configuration(problem);
        self.upkeep.wish(Instant::now());
        self.queue.set_limits(settings.concurrency, settings.queue);
        self.settings = settings;
        self.talk.hello.wish(Instant::now());
    }

    /// Comes to an end, to begin anew as the version that is meant to run now.
    pub(super) fn restart(&mut self) {
        if !self.is_stopping() {
            tracing::info!("beginning anew");
            self.is_restarting = true;
            self.stop();
        }
    }

    /// Takes no more work; runners go on without us.
    fn stop(&mut self) {
        tracing::info!("stopping");
        self.inbox = SelectAll::new();
        self.doorbells = SelectAll::new();
        self.stop_by = Some(Instant::now() + FLUSH);
    }
}
