//! The bench an action works on: its inputs, its outputs, its time, and the tools that obey a stop.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use muster_document::PlannedPart;
use prost::Message;

use super::{End, Trouble};
use crate::policy::Policy;
use crate::runner::account::{Account, AccountError};
use crate::runner::capture::Capture;
use crate::runner::environment;
use crate::runner::guise::{self, Guise};
use crate::runner::process::{Launch, Patience, Process};
use crate::runner::step::{Sign, Workshop};
use crate::runner::stop::StopSignal;
use crate::runner::waiting::Waiting;
use crate::settings::Settings;

/// Where one part of a step is carried out.
pub(crate) struct Bench<'a, 'w> {
    /// What all steps of the run share: settings, the run's directory, the account, the platform.
    pub(crate) workshop: &'a Workshop<'w>,
    /// The part, with its inputs final.
    pub(crate) part: &'a PlannedPart,
    /// Standard output and standard error of the part.
    pub(crate) captures: &'a mut [Capture; 2],
    /// Lines for the trace.
    pub(crate) trace: &'a mut Vec<String>,
    pub(crate) stop: &'a mut StopSignal,
    pub(crate) tell: &'a mut dyn FnMut(Sign),
    /// When the part must be over.
    pub(crate) deadline: Instant,
}

impl Bench<'_, '_> {
    /// Writes a line to the part's standard output.
    pub(crate) fn print(&mut self, line: &str) {
        self.captures[0].push_line(line);
    }

    /// Writes a line to the part's standard error.
    pub(crate) fn complain(&mut self, line: &str) {
        self.captures[1].push_line(line);
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.trace.push(line.into());
    }

    /// An input as text; nothing if it is absent, empty, a list or a map.
    pub(crate) fn text(&self, input: &str) -> Option<String> {
        self.part.text(input).filter(|text| !text.is_empty())
    }

    /// A file of the part in the run's directory, named after the step; `ending` without the dot.
    pub(crate) fn file(&self, ending: &str) -> PathBuf {
        self.workshop.file(self.part, ending)
    }

    /// The run's downloads directory, against which relative paths count. It may not exist yet.
    pub(crate) fn downloads(&self) -> PathBuf {
        self.workshop.directory.join("downloads")
    }

    /// As whom and within which bounds what the part starts runs: its input `runAs`, else what the node says.
    pub(crate) fn guise(&self) -> Result<Guise, Trouble> {
        self.wear(Guise::of)
    }

    /// As `guise`, for an action that is the agent's own work; a part that names somebody else is refused.
    pub(crate) fn own_guise(&self) -> Result<Guise, Trouble> {
        self.wear(Guise::of_agent)
    }

    /// Refuses a part that names a user, for an action that starts nothing itself.
    pub(crate) fn refuse_run_as(&self) -> Result<(), Trouble> {
        let refused = guise::refuse_others(self.part, &self.workshop.account);
        refused.map_err(|error| Trouble::NeverRan(error.to_string()))
    }

    fn wear(
        &self,
        of: fn(&PlannedPart, &str, &Settings, &Policy, &Account) -> Result<Guise, AccountError>,
    ) -> Result<Guise, Trouble> {
        let workshop = self.workshop;
        let run = workshop.directory.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{run}.{}", workshop.stem(self.part));
        let guise = of(self.part, &name, workshop.settings, workshop.policy, &workshop.account);
        guise.map_err(|error| Trouble::NeverRan(error.to_string()))
    }

    /// The environment that a process of this run gets, with `more` variables of the action's own.
    pub(crate) fn environment(&self, account: &Account, more: &[(String, String)]) -> Vec<(String, String)> {
        let workshop = self.workshop;
        let parameters: Vec<(String, String)> = workshop
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        environment::compose(
            account,
            &workshop.settings.environment,
            more,
            &workshop.about,
            &parameters,
        )
    }

    /// How long the part may still take.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Runs a process to its end; its output becomes the part's. On a timeout or a stop everybody whom it started is ended
    /// first.
    pub(crate) fn run(&mut self, launch: &Launch, guise: &Guise) -> Result<End, Trouble> {
        let process = start(launch, guise)?;
        (self.tell)(Sign::Process(process.note()));
        let patience = self.patience(guise.ends_orphans);
        let tell = &mut *self.tell;
        process
            .wait(patience, self.captures, self.stop, &mut || tell(Sign::Lasting))
            .map_err(lost)
    }

    /// As `run`, but the output is kept back: standard output and standard error, at most `limit` characters of each.
    /// Nobody whom the process started is left.
    pub(crate) fn run_aside(
        &mut self,
        launch: &Launch,
        guise: &Guise,
        limit: usize,
    ) -> Result<(End, [String; 2]), Trouble> {
        let process = start(launch, guise)?;
        (self.tell)(Sign::Process(process.note()));
        let patience = self.patience(true);
        let keep = self.workshop.settings.keep;
        let mut aside = [limit; 2].map(|limit| Capture::aside(limit, keep));
        let tell = &mut *self.tell;
        let end = process
            .wait(patience, &mut aside, self.stop, &mut || tell(Sign::Lasting))
            .map_err(lost)?;
        Ok((end, aside.map(|capture| capture.into_excerpt().text())))
    }

    /// Asks a service, through the agent's connection; `operation` is one of `muster_wire::subject::RPC_…`.
    pub(crate) fn ask<Given: Message + Default>(
        &mut self,
        operation: &str,
        request: &impl Message,
    ) -> Result<Given, Trouble> {
        self.waiting().ask(operation, request)
    }

    /// Waits for `work` on a runtime of its own. A timeout or a stop drops the work where it stands.
    pub(crate) fn block_on<Work: Future>(&mut self, work: Work) -> Result<Work::Output, Trouble> {
        self.waiting().block_on(work)
    }

    pub(crate) fn waiting(&mut self) -> Waiting<'_> {
        Waiting {
            state: self.workshop.state,
            stop: &mut *self.stop,
            tell: &mut *self.tell,
            deadline: self.deadline,
        }
    }

    fn patience(&self, is_for_all: bool) -> Patience {
        Patience {
            timeout: self.remaining(),
            grace: Duration::from_secs(self.workshop.settings.grace_seconds),
            is_for_all,
        }
    }
}

fn start(launch: &Launch, guise: &Guise) -> Result<Process, Trouble> {
    Process::start(launch, guise.outfit())
        .map_err(|error| Trouble::NeverRan(format!("cannot start {:?}: {error}", launch.program)))
}

fn lost(error: std::io::Error) -> Trouble {
    Trouble::NeverRan(format!("lost the process: {error}"))
}
