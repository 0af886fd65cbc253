//! The runner: one process that carries one run to its end and outlives the agent (agent.md B1.2, B3, B4).
//!
//! It is plain synchronous code, because it must start in about a millisecond: no runtime, no connection.
//! Everything it learns goes to the run's log before anybody is told; the agent only forwards it.
//! Whether a run goes on after a crash, and how, is decided here (`resume`), so that the agent may start a runner for
//! every unfinished run whenever it likes.
//!
//! A run costs one sync per step and one at its end: the start of a step must survive a power cut before the step
//! begins, or it could run twice.

mod account;
mod action;
mod capture;
mod cgroup;
mod environment;
mod excerpt;
mod guise;
mod kin;
mod log_streams;
mod nesting;
mod outputs;
mod planning;
mod process;
mod record;
mod resume;
mod script;
mod secrets;
mod step;
mod stop;
mod waiting;

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use muster_document::flow::MAX_REBOOTS;
use muster_document::{Next, Outcome, Plan, PlannedStep, Verdict};
use muster_model::SystemClock;
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{RebootRequested, RunStatus, StepResult, StepStarted, StepStatus, WorkItem};

pub(crate) use capture::open_output;
pub use excerpt::{Excerpt, Keep, STDERR_LIMIT, STDOUT_LIMIT, SUMMARY_LIMIT, summary};
pub(crate) use guise::try_shell;
pub(crate) use log_streams::awaits_end_of_run;
pub use outputs::store_leftovers;
pub(crate) use planning::{Draft, Text};
pub(crate) use record::proto_time;

use crate::facts::{self, System};
use crate::journal::{Fact, History, Log, RunId, Runner};
use crate::os;
use crate::policy::Policy;
use crate::settings::{OnInterrupt, Settings};
use crate::state::StateDir;
use account::Account;
use action::Trouble;
use environment::About;
use log_streams::LogStreams;
use nesting::Nesting;
use outputs::Outputs;
use planning::{PATIENCE, PLATFORM, Prepared, permitted_plan};
use process::End;
use record::{Recorder, identity, result, run_status};
use resume::Start;
use secrets::Secrets;
use step::{Finished, NEVER_RAN, STOPPED, Sign, Workshop};
use stop::{Stop, StopSignal};
use waiting::Waiting;

/// What a runner that ran tells its parent by its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The run is over, and its end is in the log.
    Over,
    /// Another runner has the run in hand.
    Busy,
    /// This process was asked to end; the run goes on with the next runner.
    Interrupted,
    /// The run goes on when the node has booted.
    Rebooting,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Over => 0,
            Self::Busy => 75,
            Self::Interrupted => 76,
            Self::Rebooting => 77,
        }
    }
}

/// As `run`; the exit code of the process. What goes wrong is told on the standard error stream.
#[must_use]
pub fn run_to_exit(root: &Path, run: RunId) -> u8 {
    match self::run(root, run) {
        Ok(exit) => exit.code(),
        Err(error) => {
            let line = serde_json::json!({"level": "ERROR", "run": run, "message": error.to_string()});
            // In the form of the agent's own log, whose stream this is; nobody else could be told.
            let _ = writeln!(io::stderr(), "{line}");
            1
        }
    }
}

/// Removes control groups of scripts that nobody is in any more.
pub(crate) fn remove_empty_cgroups(settings: &Settings) {
    if let Some(place) = cgroup::place(settings) {
        cgroup::remove_empty(&place);
    }
}

/// Carries a run to its end. To be called once in a process that does nothing else.
///
/// # Errors
/// If the run's log is not there or takes no more; nothing was executed that the log does not tell about.
pub fn run(root: &Path, run: RunId) -> io::Result<Exit> {
    // Not being able to is normal for a process that a shell started as a job of its own.
    let _ = rustix::process::setsid();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    os::reset_signals();
    // Orphans of a step come to us, so that we can tell when a group is really empty.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;

    let state = StateDir::at(root);
    let mut stop = StopSignal::listen(state.journal().cancel_mark(run))?;
    let Some((log, history)) = Log::lock(&state.journal().open_log(run))? else {
        return Ok(Exit::Busy);
    };
    let settings = state.settings();
    let boot_id = facts::boot_id(&settings);
    let clock = SystemClock;
    let mut recorder = Recorder::new(run, log, history.last_sequence(), &clock, state.notify_socket());
    let me = Runner {
        pid: std::process::id(),
        boot_id: boot_id.clone(),
    };
    if !history.is_finished() && !history.awaits_reboot(&boot_id) {
        // Written before the mark is looked at: whoever makes the mark looks for this entry afterwards, so that one of
        // the two always sees the other.
        recorder.note(Fact::Runner(me))?;
    }
    let mut job = Job {
        state: &state,
        run,
        settings: &settings,
        history: &history,
        recorder: &mut recorder,
    };
    let start = resume::decide(&history, stop.is_cancelled(), job.is_late(&boot_id), &boot_id);
    job.carry_on(start, &boot_id, &mut stop)
}

/// A run in hand.
struct Job<'a, 'b> {
    state: &'a StateDir,
    run: RunId,
    settings: &'a Settings,
    history: &'a History,
    recorder: &'a mut Recorder<'b>,
}

impl Job<'_, '_> {
    fn carry_on(&mut self, start: Start<'_>, boot_id: &str, stop: &mut StopSignal) -> io::Result<Exit> {
        match start {
            Start::Over => Ok(Exit::Over),
            Start::Drop => self.drop_late(),
            Start::Cancel(open) => {
                if let Some(open) = open {
                    self.end_leftovers(boot_id);
                    self.add_interrupted(open, StepStatus::Cancelled, STOPPED, "cancelled");
                }
                self.end(RunStatus::Cancelled, "")
            }
            Start::EndAfterInterruption(open) => {
                if let Some(open) = open {
                    self.end_leftovers(boot_id);
                    self.add_interrupted(open, StepStatus::Failed, NEVER_RAN, self.interruption(boot_id));
                }
                self.end(RunStatus::Failed, LATE)
            }
            Start::AwaitReboot => Ok(Exit::Rebooting),
            Start::Go => self.go(Vec::new(), boot_id, stop),
            Start::GoAfterInterruption(open) => {
                self.end_leftovers(boot_id);
                let ended = self.judge(open, self.interruption(boot_id));
                self.go(ended, boot_id, stop)
            }
            Start::GoWithoutReboot(asked, reason) => {
                let trace = format!("the step asked for a reboot, which did not come: {reason}");
                self.add_interrupted(asked, StepStatus::Failed, REBOOT, &trace);
                self.go(vec![(asked.index as usize, Outcome::Failed)], boot_id, stop)
            }
        }
    }

    /// Decides about a step whose runner died: it runs again, or it has failed.
    fn judge(&mut self, open: &StepStarted, trace: &str) -> Vec<(usize, Outcome)> {
        let may_repeat = self.work().is_some_and(|work| {
            // A document that cannot be planned is reported by whoever goes on.
            Draft::of_work(work).is_ok_and(|draft| self.may_repeat(draft.plan(), open))
        });
        if may_repeat && self.history.runs_of(open.index) < MAX_REBOOTS {
            return Vec::new();
        }
        let trace = match may_repeat {
            true => format!("{trace}, for the {MAX_REBOOTS}th time"),
            false => trace.to_owned(),
        };
        self.add_interrupted(open, StepStatus::Failed, NEVER_RAN, &trace);
        vec![(open.index as usize, Outcome::Failed)]
    }

    fn work(&self) -> Option<&WorkItem> {
        self.history.accepted.as_ref()?.work.as_ref()
    }

    /// Whether the time to start steps is over.
    fn is_late(&self, boot_id: &str) -> bool {
        let now = facts::moment(boot_id, self.recorder.now());
        let accepted = self.history.accepted.as_ref();
        let deadline = accepted.and_then(|accepted| accepted.deadline.as_ref());
        deadline.is_some_and(|deadline| deadline.has_passed(&now))
    }

    /// Nothing of the run has begun, and nothing will.
    fn drop_late(&mut self) -> io::Result<Exit> {
        self.recorder.add_dropped();
        self.recorder.commit()?;
        Ok(Exit::Over)
    }

    /// Runs the steps that are left; `ended` are those that this runner has judged already.
    fn go(&mut self, judged: Vec<(usize, Outcome)>, boot_id: &str, stop: &mut StopSignal) -> io::Result<Exit> {
        let history = self.history;
        let Some(work) = history.accepted.as_ref().and_then(|accepted| accepted.work.as_ref()) else {
            return self.end(RunStatus::Failed, "the journal does not tell what to run");
        };
        let policy = match Policy::of(self.settings) {
            Ok(policy) => policy,
            Err(error) => return self.end(RunStatus::Failed, &format!("nothing runs on this node: {error}")),
        };
        let mut ended = ended_steps(self.history);
        ended.extend(judged);
        let secrets = Secrets::default();
        let waiting = Waiting {
            state: self.state,
            stop: &mut *stop,
            tell: &mut |_| {},
            deadline: Instant::now() + PATIENCE,
        };
        let plan = match permitted_plan(self.run, work, &policy, &ended, &secrets, waiting) {
            Ok(Prepared::Ready(plan)) => plan,
            // The store may have let us wait.
            Ok(Prepared::LookedUp(_)) if self.is_late(boot_id) && ended.is_empty() => return self.drop_late(),
            Ok(Prepared::LookedUp(_)) if self.is_late(boot_id) => return self.end(RunStatus::Failed, LATE),
            Ok(Prepared::LookedUp(plan)) => plan,
            Err(Trouble::Ended(End::Stopped(Stop::Shutdown))) => {
                self.recorder.commit()?;
                return Ok(Exit::Interrupted);
            }
            Err(Trouble::Ended(End::Stopped(Stop::Cancelled))) => return self.end(RunStatus::Cancelled, ""),
            Err(Trouble::Ended(_)) => {
                return self.end(RunStatus::Failed, "the parameter store does not answer in time");
            }
            Err(Trouble::NeverRan(trace) | Trouble::Failed(trace)) => return self.end(RunStatus::Failed, &trace),
        };
        let system = System::read();
        let directory = self.state.run(self.run);
        let workshop = Workshop {
            state: self.state,
            settings: self.settings,
            policy: &policy,
            run: self.run,
            directory: &directory,
            account: Account::current(),
            about: About {
                command_id: &work.command_id,
                node_id: &work.node_id,
                region: &self.settings.region,
                platform_name: &system.name,
                platform_version: &system.version,
            },
            secrets: &secrets,
            parameters: plan.environment(),
            platform: PLATFORM,
            nesting: Nesting::default(),
            prefix: String::new(),
        };
        let mut outputs = Outputs::of(self.state, self.settings, self.run, work);
        let logs = LogStreams::start(self.state, self.run, work, &plan, &workshop, self.recorder.now());
        loop {
            let next = plan.next(&ended);
            self.add_jumped_over(&plan, &ended, next);
            let step = match next {
                Next::End(status) => return self.end_with_outputs(run_status(status), outputs, logs),
                Next::Step(index) => &plan.steps()[index],
            };
            match stop.reason() {
                _ if stop.is_cancelled() => return self.end_with_outputs(RunStatus::Cancelled, outputs, logs),
                Some(Stop::Shutdown) => {
                    self.recorder.commit()?;
                    return Ok(Exit::Interrupted);
                }
                _ => {}
            }
            let finished = self.step(step, &workshop, stop)?;
            if let (Some(outputs), false) = (&mut outputs, finished.is_interrupted) {
                self.store(step, &workshop, outputs)?;
            }
            if let Some(logs) = &logs {
                logs.step_ended();
            }
            ended.push((step.index(), finished.outcome));
            if finished.outcome == Outcome::SuccessAndReboot {
                self.recorder.commit_stubbornly()?;
                return Ok(Exit::Rebooting);
            }
            if finished.is_interrupted {
                self.recorder.commit_stubbornly()?;
                return Ok(Exit::Interrupted);
            }
        }
    }

    /// Runs one step and adds its result; only its start is durable when this returns.
    fn step(&mut self, step: &PlannedStep, workshop: &Workshop<'_>, stop: &mut StopSignal) -> io::Result<Finished> {
        let started_at = self.recorder.now();
        let mut finished = match step.verdict() {
            Verdict::Skip(trace) => Finished::without_running(Outcome::Skipped, trace),
            Verdict::Fail(trace) => Finished::without_running(Outcome::Failed, trace),
            Verdict::Run(parts) => match action::find(step.action(), workshop.nesting) {
                Err(trace) => Finished::without_running(Outcome::Failed, &trace),
                Ok(perform) => {
                    let (index, name, action) = identity(step);
                    self.recorder
                        .add(News::StepStarted(StepStarted { index, name, action }));
                    self.recorder.commit_quietly()?;
                    let recorder = &mut *self.recorder;
                    workshop.perform(perform, parts, stop, &mut |sign| match sign {
                        // Without the note a successor cannot find the process; the step is not worse for it.
                        Sign::Process(process) => drop(recorder.note(Fact::Process(process))),
                        Sign::Lasting => recorder.announce(),
                    })
                }
            },
        };
        if finished.outcome == Outcome::SuccessAndReboot {
            let (index, name, action) = identity(step);
            let runs = self.history.runs_of(index) + 1;
            if runs < MAX_REBOOTS {
                let step = Some(StepStarted { index, name, action });
                self.recorder.add(News::RebootRequested(RebootRequested { step, runs }));
                return Ok(finished);
            }
            finished.outcome = Outcome::Failed;
            finished
                .trace
                .push(format!("the step asked for a reboot {runs} times; that is enough"));
        }
        self.recorder
            .add(result(step, &finished, started_at, self.recorder.now()));
        Ok(finished)
    }

    /// Stores what a step has printed. Its result is told first, so that nobody waits for an object store.
    fn store(&mut self, step: &PlannedStep, workshop: &Workshop<'_>, outputs: &mut Outputs<'_>) -> io::Result<()> {
        let Verdict::Run(parts) = step.verdict() else {
            return Ok(());
        };
        match outputs.note(step, parts, workshop, self.recorder.now()) {
            Ok(noted) if noted.is_empty() => {}
            Ok(noted) => {
                self.recorder.commit()?;
                outputs.deliver(noted);
            }
            Err(error) => outputs
                .unstored
                .push(format!("{}: its outputs are not stored: {error}", step.name())),
        }
        Ok(())
    }

    /// Steps that a flow word jumped over are skipped ones; after a cancel nothing is said about the rest.
    fn add_jumped_over(&mut self, plan: &Plan, ended: &[(usize, Outcome)], next: Next) {
        let from = ended.last().map_or(0, |(index, _)| index + 1);
        let to = match next {
            Next::Step(index) => index,
            Next::End(muster_document::RunStatus::Cancelled) => return,
            Next::End(_) => plan.steps().len(),
        };
        for step in plan.steps().get(from..to).unwrap_or_default() {
            let skipped = Finished::without_running(Outcome::Skipped, "an earlier step ended the document");
            let now = self.recorder.now();
            self.recorder.add(result(step, &skipped, now, now));
        }
    }

    fn add_interrupted(&mut self, open: &StepStarted, status: StepStatus, code: i32, trace: &str) {
        let started_at = self.history.last_record().and_then(|record| record.at);
        self.recorder.add(News::StepResult(StepResult {
            index: open.index,
            name: open.name.clone(),
            action: open.action.clone(),
            status: status.into(),
            code,
            started_at,
            finished_at: Some(proto_time(self.recorder.now())),
            trace: trace.to_owned(),
            ..StepResult::default()
        }));
    }

    /// Ends the run; the results of its steps are told before anybody waits for a place of outputs.
    fn end_with_outputs(
        &mut self,
        status: RunStatus,
        outputs: Option<Outputs<'_>>,
        logs: Option<LogStreams>,
    ) -> io::Result<Exit> {
        let mut unstored = outputs.map(|outputs| outputs.unstored).unwrap_or_default();
        if let Some(logs) = logs {
            self.recorder.commit_stubbornly()?;
            unstored.extend(logs.finish());
        }
        self.end(status, &unstored.join("\n"))
    }

    fn end(&mut self, status: RunStatus, trace: &str) -> io::Result<Exit> {
        self.recorder.add_end(status, trace);
        self.recorder.commit_stubbornly()?;
        Ok(Exit::Over)
    }

    /// Whether a step whose runner died may run again.
    fn may_repeat(&self, plan: &Plan, open: &StepStarted) -> bool {
        if self.settings.on_interrupt == OnInterrupt::Repeat {
            return true;
        }
        let step = plan.steps().get(open.index as usize);
        if step.is_some_and(|step| action::is_repeatable(step.action())) {
            return true;
        }
        match step.map(PlannedStep::verdict) {
            Some(Verdict::Run(parts)) => parts
                .iter()
                .all(|part| part.text("rerunOnInterrupt").is_some_and(|text| text == "true")),
            _ => false,
        }
    }

    /// Why a step has no result.
    fn interruption(&self, boot_id: &str) -> &'static str {
        let is_same_boot = self
            .history
            .runner
            .as_ref()
            .is_some_and(|runner| runner.boot_id == boot_id);
        match (self.history.reboot(), is_same_boot) {
            (Some(_), true) => "interrupted: the reboot that the step asked for did not come in time",
            (Some(_), false) => "interrupted: the reboot that the step asked for took too long",
            (None, true) => "interrupted: the runner died during this step",
            (None, false) => "interrupted: the node went down during this step",
        }
    }

    /// A dead runner's step may still be going on unwatched; nothing of it may outlive the verdict.
    fn end_leftovers(&self, boot_id: &str) {
        if let Some(place) = cgroup::place(self.settings) {
            cgroup::end_unknown(&place, &self.run.to_string(), &self.history.left_control_groups());
        }
        if let Some(runner) = self.history.runner.as_ref().filter(|runner| runner.boot_id == boot_id) {
            // Those of the step itself, noted or not: the runner may have died between a process's start and the note of it.
            let last = self.history.process.as_ref().map(|process| process.group);
            let earlier = self.history.earlier_groups.iter().copied();
            let known: Vec<u32> = earlier.filter(|group| Some(*group) != last).collect();
            process::kill_unknown_groups(&known, runner.pid);
        }
    }
}

/// Why a run ends that has begun and may not go on.
const LATE: &str = "interrupted, and the time to start further steps is over";
/// The exit code that asks for a reboot.
const REBOOT: i32 = 194;

fn ended_steps(history: &History) -> Vec<(usize, Outcome)> {
    history
        .step_results()
        .map(|result| (result.index as usize, resume::outcome_of(result)))
        .collect()
}
