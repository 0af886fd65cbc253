//! One step of a document: its parts one after the other, and one result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use muster_document::{Outcome, PlannedPart, Platform};

use super::account::Account;
use super::action::{Bench, Perform, Trouble};
use super::capture::Capture;
use super::cgroup;
use super::environment::About;
use super::excerpt::{self, Excerpt, STDERR_LIMIT, STDOUT_LIMIT};
use super::guise;
use super::nesting::Nesting;
use super::process::End;
use super::secrets::Secrets;
use super::stop::{Stop, StopSignal};
use crate::journal::{self, RunId};
use crate::policy::Policy;
use crate::settings::Settings;
use crate::state::{StateDir, make_private_directory};

/// The exit code of a process that we stopped, whatever signal ended it.
pub(crate) const STOPPED: i32 = 137;
/// The exit code of a step that never ran.
pub(crate) const NEVER_RAN: i32 = -1;

/// What all steps of a run share.
#[derive(Clone)]
pub(crate) struct Workshop<'a> {
    pub(crate) state: &'a StateDir,
    pub(crate) settings: &'a Settings,
    pub(crate) policy: &'a Policy,
    pub(crate) run: RunId,
    /// The run's directory.
    pub(crate) directory: &'a Path,
    /// The agent's own user.
    pub(crate) account: Account,
    pub(crate) about: About<'a>,
    /// What is hidden in outputs, and known to actions that take secrets.
    pub(crate) secrets: &'a Secrets,
    /// Parameters that travel as variables.
    pub(crate) parameters: &'a BTreeMap<String, String>,
    pub(crate) platform: Platform,
    /// How many documents lie around this one.
    pub(crate) nesting: Nesting,
    /// What the names of files begin with, so that those of nested documents differ.
    pub(crate) prefix: String,
}

/// What became of a step.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) summary: String,
    pub(crate) stdout_bytes: u64,
    pub(crate) stderr_bytes: u64,
    pub(crate) trace: Vec<String>,
    /// The step was stopped because this process must end; the run is not over.
    pub(crate) is_interrupted: bool,
}

impl Finished {
    /// A step that was not run, and why.
    pub(crate) fn without_running(outcome: Outcome, trace: &str) -> Self {
        Self {
            outcome,
            code: if outcome == Outcome::Skipped { 0 } else { NEVER_RAN },
            stdout: String::new(),
            stderr: String::new(),
            summary: String::new(),
            stdout_bytes: 0,
            stderr_bytes: 0,
            trace: vec![trace.to_owned()],
            is_interrupted: false,
        }
    }
}

/// What is to be told while a step goes on.
#[derive(Debug, Clone)]
pub(crate) enum Sign {
    /// It has a process.
    Process(journal::Process),
    /// It takes more than a moment.
    Lasting,
}

/// A part that ended.
struct PartEnd {
    outcome: Outcome,
    code: i32,
    captures: [Capture; 2],
    trace: Vec<String>,
    stop: Option<Stop>,
}

impl Workshop<'_> {
    /// Runs the parts of a step, and tells what is to be told meanwhile.
    pub(crate) fn perform(
        &self,
        perform: Perform,
        parts: &[PlannedPart],
        stop: &mut StopSignal,
        tell: &mut dyn FnMut(Sign),
    ) -> Finished {
        let mut ends: Vec<PartEnd> = Vec::with_capacity(parts.len());
        for part in parts {
            let end = self.perform_part(perform, part, stop, tell);
            let is_stopped = end.stop.is_some();
            let is_last = is_stopped || end.outcome == Outcome::SuccessAndReboot;
            ends.push(end);
            if is_last {
                break;
            }
        }
        self.sum_up(ends)
    }

    /// Several parts are one result: the gravest outcome with its code, and the outputs one after the other.
    fn sum_up(&self, ends: Vec<PartEnd>) -> Finished {
        let outcome = Outcome::of_parts(ends.iter().map(|end| end.outcome));
        let code = ends.iter().find(|end| end.outcome == outcome).map_or(0, |end| end.code);
        let is_interrupted = ends.iter().any(|end| end.stop == Some(Stop::Shutdown));
        let trace = ends.iter().flat_map(|end| end.trace.iter().cloned()).collect();
        let total = |stream: usize| ends.iter().map(|end| end.captures[stream].excerpt().total()).sum();
        let (stdout_bytes, stderr_bytes) = (total(0), total(1));
        let [out, err] = match <[PartEnd; 1]>::try_from(ends) {
            Ok([only]) => only.captures.map(Capture::into_excerpt),
            Err(several) => [(0, STDOUT_LIMIT), (1, STDERR_LIMIT)].map(|(stream, limit)| {
                let mut joined = Excerpt::new(limit, self.settings.keep);
                for end in &several {
                    joined.push(end.captures[stream].excerpt().text().as_bytes());
                }
                joined
            }),
        };
        Finished {
            outcome,
            code,
            stdout: out.text(),
            stderr: err.text(),
            summary: excerpt::summary(&out, &err),
            stdout_bytes,
            stderr_bytes,
            trace,
            is_interrupted,
        }
    }

    fn perform_part(
        &self,
        perform: Perform,
        part: &PlannedPart,
        stop: &mut StopSignal,
        tell: &mut dyn FnMut(Sign),
    ) -> PartEnd {
        // If it cannot be made, whoever writes a file there says so.
        let _ = make_private_directory(self.directory);
        let capture = |name: &str, limit| {
            Capture::new(
                self.file(part, name),
                self.settings.output_cap(),
                limit,
                self.settings.keep,
            )
            .hiding(self.secrets)
        };
        let mut captures = [capture("stdout", STDOUT_LIMIT), capture("stderr", STDERR_LIMIT)];
        let mut trace = Vec::new();
        let bench = Bench {
            workshop: self,
            part,
            captures: &mut captures,
            trace: &mut trace,
            stop,
            tell,
            deadline: Instant::now() + Duration::from_secs(self.seconds_for(part)),
        };
        let (outcome, code, stop) = self.carry_out(perform, bench);
        for (capture, name) in captures.iter_mut().zip(["stdout", "stderr"]) {
            capture.finish();
            if capture.dropped() > 0 {
                trace.push(format!(
                    "{name} exceeded its file: {} bytes of its middle were dropped",
                    capture.dropped()
                ));
            }
            if let Some(error) = capture.failure() {
                trace.push(format!("{name} could not be written completely: {error}"));
            }
        }
        if !self.secrets.are_none() {
            trace.iter_mut().for_each(|line| *line = self.secrets.mask(line));
        }
        PartEnd {
            outcome,
            code,
            captures,
            trace,
            stop,
        }
    }

    /// Carries out a part and says in its output and trace how it ended.
    pub(crate) fn carry_out(&self, perform: Perform, mut bench: Bench<'_, '_>) -> (Outcome, i32, Option<Stop>) {
        bench.trace.extend_from_slice(bench.part.notes());
        let seconds = self.seconds_for(bench.part);
        if seconds < bench.part.timeout_seconds() {
            bench
                .trace
                .push(format!("this node lowered the timeout to {seconds} seconds"));
        }
        let kills_before = cgroup::out_of_memory_kills(self.settings);
        let end = match perform(&mut bench) {
            Err(Trouble::Ended(end)) => Ok(end),
            end => end,
        };
        let trace = bench.trace;
        let is_out_of_memory = cgroup::out_of_memory_kills(self.settings) > kills_before;
        let (outcome, code) = match &end {
            Ok(End::Exited(code)) => (Outcome::of_exit_code(*code, self.platform), *code),
            Ok(End::Killed(signal)) => (Outcome::Failed, 128 + signal),
            Ok(End::TimedOut) => (Outcome::TimedOut, STOPPED),
            Ok(End::Stopped(Stop::Cancelled)) => (Outcome::Cancelled, STOPPED),
            Ok(End::Stopped(Stop::Shutdown)) => (Outcome::Failed, STOPPED),
            Ok(End::Concluded(outcome, code)) => (*outcome, *code),
            Err(Trouble::Failed(_)) => (Outcome::Failed, 1),
            Err(_) => (Outcome::Failed, NEVER_RAN),
        };
        let outcome = self.nesting.judge(outcome, trace);
        let stop = match end {
            Ok(End::Stopped(stop)) => Some(stop),
            _ => None,
        };
        let words = match end {
            Ok(End::Exited(0) | End::Concluded(..)) | Err(Trouble::Ended(_)) => None,
            Ok(End::Exited(_)) if outcome == Outcome::SuccessAndReboot => None,
            Ok(End::Exited(code)) if outcome == Outcome::Success || outcome == Outcome::SuccessAndExit => {
                trace.push(format!("exit status {code}: the remaining steps are skipped"));
                None
            }
            Ok(End::Exited(code)) => {
                // A shell whose child was killed tells it in this way.
                if code == STOPPED && is_out_of_memory {
                    trace.push(format!("a process of this step was {}", killed_by(libc::SIGKILL, true)));
                }
                Some(format!("exit status {code}"))
            }
            Ok(End::Killed(signal)) => Some(killed_by(signal, is_out_of_memory)),
            Ok(End::TimedOut) => Some(format!("timed out after {seconds} seconds")),
            Ok(End::Stopped(Stop::Cancelled)) => Some("cancelled".to_owned()),
            Ok(End::Stopped(Stop::Shutdown)) => Some("interrupted: the runner was asked to end".to_owned()),
            Err(Trouble::NeverRan(words) | Trouble::Failed(words)) => Some(words),
        };
        if let Some(words) = words {
            bench.captures[1].push_line(&format!("failed to run commands: {words}"));
            if !words.starts_with("exit status") {
                trace.push(words);
            }
        }
        (outcome, code, stop)
    }

    /// A file of a part. All lie in the run's one directory, because a directory costs as much as several files.
    pub(crate) fn file(&self, part: &PlannedPart, ending: &str) -> PathBuf {
        self.directory.join(format!("{}.{ending}", self.stem(part)))
    }

    /// What the names of a part's files begin with.
    pub(crate) fn stem(&self, part: &PlannedPart) -> String {
        format!("{}{}", self.prefix, part.directory().replace('/', "."))
    }

    /// How many seconds a part may run on this node.
    pub(crate) fn seconds_for(&self, part: &PlannedPart) -> u64 {
        guise::seconds_for(part, self.settings, self.policy)
    }
}

fn killed_by(signal: i32, is_out_of_memory: bool) -> String {
    let name = match signal {
        libc::SIGHUP => " (SIGHUP)",
        libc::SIGINT => " (SIGINT)",
        libc::SIGQUIT => " (SIGQUIT)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGKILL if is_out_of_memory => " (out of memory)",
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGPIPE => " (SIGPIPE)",
        libc::SIGTERM => " (SIGTERM)",
        _ => "",
    };
    format!("killed by signal {signal}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        assert_eq!(killed_by(9, true), "killed by signal 9 (out of memory)");
        assert_eq!(killed_by(11, false), "killed by signal 11 (SIGSEGV)");
        assert_eq!(killed_by(40, false), "killed by signal 40");
    }
}
