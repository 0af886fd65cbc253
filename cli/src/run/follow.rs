//! Waits for a command's end and shows every node as it ends.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use muster_proto::runcommand::v1::Command;
use muster_wire::Failure;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior};

use super::live::{self, Heard, Live};
use super::news::{Happened, News};
use super::progress::Progress;
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::invocation::{self, AT_ONCE, Invocation};
use crate::server::Server;
use crate::{print, report};

/// How often the command is asked for when no news comes.
const PATIENCE: Duration = Duration::from_secs(1);
/// Nodes that are away are named one by one up to this number.
const AWAY_NAMED: usize = 5;

/// How following a command ends.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing will change any more.
    Ended(Box<Command>),
    /// The person at the terminal does not want to wait.
    Left,
}

/// What is asked of the server, and answered some time later.
enum Answer {
    Command(Result<Box<Command>, Complaint>),
    Nodes(Result<Vec<String>, Complaint>),
    Invocation(String, Result<Box<Invocation>, Complaint>),
    Cancelled(Result<(), Complaint>),
}

/// Follows one command.
pub(super) struct Follower {
    server: Server,
    news: News,
    command: Command,
    id: String,
    shows_output: bool,
    progress: Progress,
    /// What was asked and is not answered yet.
    asked: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// The command is being asked for.
    is_asking: bool,
    /// Something happened since it was asked for.
    is_stale: bool,
    /// Nodes whose outputs were asked for, or will be.
    known: HashSet<String>,
    /// Those that will be.
    waiting: VecDeque<String>,
    /// Those that will be asked for again at the next tick.
    later: Vec<String>,
    away: HashSet<String>,
    invocations: Vec<Invocation>,
    /// All nodes are in `known`.
    is_complete: bool,
    is_cancelled: bool,
    has_complained: bool,
    /// What nodes write while they write it, if that is wanted.
    live: Option<Live>,
    /// Ctrl-C leaves the command alone.
    only_watches: bool,
}

impl Follower {
    pub(super) fn new(server: &Server, news: News, command: &Command, shows_output: bool) -> Self {
        Self {
            server: server.clone(),
            news,
            id: command.command_id().to_owned(),
            command: command.clone(),
            shows_output,
            progress: Progress::new(command),
            asked: FuturesUnordered::new(),
            is_asking: false,
            is_stale: true,
            known: HashSet::new(),
            waiting: VecDeque::new(),
            later: Vec::new(),
            away: HashSet::new(),
            invocations: Vec::new(),
            is_complete: false,
            is_cancelled: false,
            has_complained: false,
            live: None,
            only_watches: false,
        }
    }

    /// The same follower, which never cancels.
    pub(super) fn only_watching(mut self) -> Self {
        self.only_watches = true;
        self
    }

    /// Shows what nodes write while they write it.
    pub(super) async fn listen(&mut self) -> Result<(), Complaint> {
        self.live = Some(Live::start(&self.server, &self.id).await?);
        Ok(())
    }

    /// What became of the nodes, by name.
    pub(super) fn into_invocations(mut self) -> Vec<Invocation> {
        invocation::sort(&mut self.invocations);
        self.invocations
    }

    pub(super) async fn follow(&mut self) -> Result<Outcome, Complaint> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|source| Complaint::System {
            what: "to hear of Ctrl-C",
            source,
        })?;
        let outcome = self.wait(&mut interrupt).await;
        self.progress.end();
        outcome
    }

    async fn wait(&mut self, interrupt: &mut Signal) -> Result<Outcome, Complaint> {
        let mut ticks = every(PATIENCE);
        loop {
            self.ask();
            let has_all = self.is_complete && self.asked.is_empty() && self.waiting.is_empty() && self.later.is_empty();
            let heard_all = self.live.as_ref().is_none_or(Live::is_over);
            if has_all && heard_all && report::has_ended(&self.command) {
                return Ok(Outcome::Ended(Box::new(self.command.clone())));
            }
            tokio::select! {
                Some(answer) = self.asked.next(), if !self.asked.is_empty() => self.hear(answer)?,
                happened = self.news.of(&self.id) => self.note(happened),
                _ = ticks.tick() => {
                    self.is_stale = true;
                    self.waiting.extend(self.later.drain(..));
                    self.progress.tick(&self.command);
                }
                heard = heard(&mut self.live) => self.print(heard).await?,
                _ = interrupt.recv() => {
                    if self.is_cancelled || self.only_watches {
                        return Ok(Outcome::Left);
                    }
                    self.cancel();
                }
            }
        }
    }

    /// Asks what is to be asked, never for the command twice at a time and never for too many outputs.
    fn ask(&mut self) {
        let has_ended = report::has_ended(&self.command);
        if self.is_stale && !self.is_asking && !has_ended {
            self.is_stale = false;
            self.is_asking = true;
            let (server, id) = (self.server.clone(), self.id.clone());
            self.asked.push(Box::pin(async move {
                Answer::Command(invocation::command(&server, &id).await.map(Box::new))
            }));
        } else if self.is_stale && !self.is_asking && !self.is_complete {
            self.is_stale = false;
            self.is_asking = true;
            let (server, id) = (self.server.clone(), self.id.clone());
            self.asked.push(Box::pin(async move {
                Answer::Nodes(invocation::nodes_of(&server, &id).await)
            }));
        }
        while self.asked.len() < AT_ONCE
            && let Some(node) = self.waiting.pop_front()
        {
            let (server, id) = (self.server.clone(), self.id.clone());
            self.asked.push(Box::pin(async move {
                let answer = invocation::fetch(&server, &id, &node).await.map(Box::new);
                Answer::Invocation(node, answer)
            }));
        }
    }

    fn note(&mut self, happened: Happened) {
        self.is_stale = true;
        match happened {
            Happened::Ended { node } => self.want(node),
            Happened::Delayed { node } => self.note_away(node),
            Happened::Other => {}
        }
    }

    fn want(&mut self, node: String) {
        if self.known.insert(node.clone()) {
            self.waiting.push_back(node);
        }
    }

    fn note_away(&mut self, node: String) {
        if !self.away.insert(node.clone()) {
            return;
        }
        let text = match self.away.len() {
            count if count <= AWAY_NAMED => format!("{node} is not reachable; the command waits for it"),
            count if count == AWAY_NAMED + 1 => "more nodes are not reachable; the command waits for them".to_owned(),
            _ => return,
        };
        self.progress.aside(|| print::say(&text));
    }

    fn hear(&mut self, answer: Answer) -> Result<(), Complaint> {
        match answer {
            Answer::Command(answer) => {
                self.is_asking = false;
                if let Some(command) = self.tolerate(answer)? {
                    self.command = *command;
                    self.progress.show(&self.command);
                    // The nodes are asked for at once.
                    self.is_stale |= report::has_ended(&self.command);
                }
            }
            Answer::Nodes(answer) => {
                self.is_asking = false;
                if let Some(nodes) = self.tolerate(answer)? {
                    self.is_complete = true;
                    nodes.into_iter().for_each(|node| self.want(node));
                }
            }
            Answer::Invocation(node, answer) => match self.tolerate(answer)? {
                Some(invocation) => {
                    self.show(&invocation)?;
                    self.invocations.push(*invocation);
                }
                None => self.later.push(node),
            },
            Answer::Cancelled(Ok(())) => {}
            Answer::Cancelled(Err(complaint)) => {
                let line = format!("not cancelled: {}", complaint.line());
                self.progress.aside(|| print::say(&line));
            }
        }
        Ok(())
    }

    /// A server that is away for a while is waited for: the command does not depend on us.
    fn tolerate<T>(&mut self, answer: Result<T, Complaint>) -> Result<Option<T>, Complaint> {
        match answer {
            Ok(value) => {
                self.has_complained = false;
                Ok(Some(value))
            }
            Err(Complaint::Answered { operation, status }) if is_passing(&status) => {
                if !self.has_complained {
                    self.has_complained = true;
                    let line = format!("{operation} is not answered at the moment; waiting for it");
                    self.progress.aside(|| print::say(&line));
                }
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    fn show(&self, invocation: &Invocation) -> Result<(), Complaint> {
        if !self.shows_output {
            return Ok(());
        }
        let output = report::prefixed(&invocation.name, invocation.result.standard_output_content());
        let errors = report::prefixed(&invocation.name, invocation.result.standard_error_content());
        self.progress.aside(|| {
            if !output.is_empty() {
                print::data(&output)?;
            }
            errors.lines().for_each(print::say);
            Ok(())
        })
    }

    async fn print(&mut self, heard: Heard) -> Result<(), Complaint> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        for written in live.hear(heard).await? {
            let name = live.name(&written.node).await;
            self.progress.aside(|| live::print(&name, &written))?;
        }
        Ok(())
    }

    fn cancel(&mut self) {
        self.is_cancelled = true;
        let line = format!(
            "cancelling; Ctrl-C again leaves at once with exit code {}",
            Exit::Unfinished as u8
        );
        self.progress.aside(|| print::say(&line));
        let (server, id) = (self.server.clone(), self.id.clone());
        self.asked.push(Box::pin(
            async move { Answer::Cancelled(super::cancel(&server, &id).await) },
        ));
    }
}

async fn heard(live: &mut Option<Live>) -> Heard {
    match live {
        Some(live) => live.next().await,
        None => std::future::pending().await,
    }
}

fn is_passing(status: &tonic::Status) -> bool {
    matches!(
        Failure::from_status(status),
        Failure::Unavailable { .. } | Failure::Deadline
    )
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
