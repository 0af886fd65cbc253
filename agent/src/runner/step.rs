//! One step of a document: its parts one after the other, and one result.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_document::action::{Action, Language};
use muster_document::{Outcome, PlannedPart, Platform};
use serde_json::Value;

use super::account::Account;
use super::capture::Capture;
use super::environment::{self, About};
use super::excerpt::{self, Excerpt, STDERR_LIMIT, STDOUT_LIMIT};
use super::guise::{self, Guise};
use super::process::{End, Launch, Patience, Process};
use super::script::{self, ScriptError};
use super::stop::{Stop, StopSignal};
use crate::policy::Policy;
use crate::settings::Settings;

/// The exit code of a process that we stopped, whatever signal ended it.
pub(crate) const STOPPED: i32 = 137;
/// The exit code of a step that never ran.
pub(crate) const NEVER_RAN: i32 = -1;

/// The actions this agent can carry out.
const ACTIONS: [&str; 2] = ["aws:runShellScript", "aws:runPowerShellScript"];

/// What all steps of a run share.
pub(crate) struct Workshop<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) policy: &'a Policy,
    /// The state directory.
    pub(crate) root: &'a Path,
    /// The run's directory.
    pub(crate) directory: &'a Path,
    /// The agent's own user.
    pub(crate) account: Account,
    pub(crate) about: About<'a>,
    /// Parameters that travel as variables.
    pub(crate) parameters: &'a BTreeMap<String, String>,
    pub(crate) platform: Platform,
    /// Whether a step may boot the node; not within a document that another document runs.
    pub(crate) may_reboot: bool,
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

/// Why this agent cannot carry out an action, if so.
pub(crate) fn obstacle(action: &Action) -> Option<String> {
    let name = action.name();
    (!ACTIONS.contains(&name)).then(|| {
        format!(
            "{name} is not supported by this agent yet; it knows {}",
            ACTIONS.join(", ")
        )
    })
}

/// What is to be told while a step goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sign<'a> {
    /// It has a process, whose group and control group these are.
    Process(u32, &'a str),
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
        parts: &[PlannedPart],
        stop: &mut StopSignal,
        tell: &mut dyn FnMut(Sign<'_>),
    ) -> Finished {
        let mut ends: Vec<PartEnd> = Vec::with_capacity(parts.len());
        for part in parts {
            let end = self.perform_part(part, stop, tell);
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

    fn perform_part(&self, part: &PlannedPart, stop: &mut StopSignal, tell: &mut dyn FnMut(Sign<'_>)) -> PartEnd {
        let capture = |name: &str, limit| {
            Capture::new(
                self.file(part, name),
                self.settings.output_cap(),
                limit,
                self.settings.keep,
            )
        };
        let mut captures = [capture("stdout", STDOUT_LIMIT), capture("stderr", STDERR_LIMIT)];
        let mut trace = part.notes().to_vec();
        if self.seconds_for(part) < part.timeout_seconds() {
            trace.push(format!(
                "this node lowered the timeout to {} seconds",
                self.seconds_for(part)
            ));
        }
        let kills_before = out_of_memory_kills();
        let end = self
            .launch(part)
            .map_err(|error| error.to_string())
            .and_then(|launch| self.run(launch, part, &mut captures, stop, tell));
        let (outcome, code) = match &end {
            Ok(End::Exited(code)) => (self.outcome_of_code(*code, &mut trace), *code),
            Ok(End::Killed(signal)) => (Outcome::Failed, 128 + signal),
            Ok(End::TimedOut) => (Outcome::TimedOut, STOPPED),
            Ok(End::Stopped(Stop::Cancelled)) => (Outcome::Cancelled, STOPPED),
            Ok(End::Stopped(Stop::Shutdown)) => (Outcome::Failed, STOPPED),
            Err(_) => (Outcome::Failed, NEVER_RAN),
        };
        let stop = match end {
            Ok(End::Stopped(stop)) => Some(stop),
            _ => None,
        };
        let words = match end {
            Ok(End::Exited(0)) => None,
            Ok(End::Exited(_)) if outcome == Outcome::SuccessAndReboot => None,
            Ok(End::Exited(code)) if outcome == Outcome::Success || outcome == Outcome::SuccessAndExit => {
                trace.push(format!("exit status {code}: the remaining steps are skipped"));
                None
            }
            Ok(End::Exited(code)) => Some(format!("exit status {code}")),
            Ok(End::Killed(signal)) => Some(killed_by(signal, out_of_memory_kills() > kills_before)),
            Ok(End::TimedOut) => Some(format!("timed out after {} seconds", self.seconds_for(part))),
            Ok(End::Stopped(Stop::Cancelled)) => Some("cancelled".to_owned()),
            Ok(End::Stopped(Stop::Shutdown)) => Some("interrupted: the runner was asked to end".to_owned()),
            Err(error) => Some(error),
        };
        if let Some(words) = words {
            captures[1].push_line(&format!("failed to run commands: {words}"));
            if !words.starts_with("exit status") {
                trace.push(words);
            }
        }
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
        PartEnd {
            outcome,
            code,
            captures,
            trace,
            stop,
        }
    }

    /// A file of a part. All lie in the run's one directory, because a directory costs as much as several files.
    fn file(&self, part: &PlannedPart, ending: &str) -> PathBuf {
        let stem = part.directory().replace('/', ".");
        self.directory.join(format!("{stem}.{ending}"))
    }

    fn outcome_of_code(&self, code: i32, trace: &mut Vec<String>) -> Outcome {
        match Outcome::of_exit_code(code, self.platform) {
            Outcome::SuccessAndReboot if !self.may_reboot => {
                trace.push(format!(
                    "exit status {code}: a document within a document cannot boot the node"
                ));
                Outcome::Failed
            }
            outcome => outcome,
        }
    }

    /// How many seconds a part may run.
    fn seconds_for(&self, part: &PlannedPart) -> u64 {
        guise::seconds_for(part, self.settings, self.policy)
    }

    fn launch(&self, part: &PlannedPart) -> Result<Launch, ScriptError> {
        let language = part.language().unwrap_or(Language::Sh);
        let text = part.script().unwrap_or_default();
        let ending = match language {
            Language::Sh => "sh",
            Language::PowerShell => "ps1",
        };
        let run = self.directory.file_name().unwrap_or_default().to_string_lossy();
        let group = format!("{run}.{}", part.directory().replace('/', "."));
        let guise = Guise::of(part, &group, self.settings, self.policy, &self.account)?;
        let file = guise
            .script_file(self.file(part, ending), self.root)
            .map_err(ScriptError::Write)?;
        script::write(&file, &text)?;
        guise.hand_over(&file).map_err(ScriptError::Write)?;
        let wanted = part.text("shell");
        let interpreter = script::interpreter(language, wanted.as_deref(), &self.settings.default_shell, &text)?;
        let downloads = self.directory.join("downloads");
        let working_directory =
            script::working_directory(part.text("workingDirectory").as_deref(), &downloads, || {
                guise.account.directory()
            })?;
        guise.show(&downloads).map_err(ScriptError::MakeDirectory)?;
        let parameters: Vec<(String, String)> = self
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut arguments = interpreter.arguments;
        arguments.push(file.into_os_string());
        Ok(Launch {
            program: interpreter.program,
            arguments,
            environment: environment::compose(
                &guise.account,
                &self.settings.environment,
                &variables(part.inputs().get("environment")),
                &self.about,
                &parameters,
            ),
            directory: working_directory,
            dress: guise.dress,
            cgroup: guise.cgroup,
        })
    }

    fn run(
        &self,
        launch: Launch,
        part: &PlannedPart,
        captures: &mut [Capture; 2],
        stop: &mut StopSignal,
        tell: &mut dyn FnMut(Sign<'_>),
    ) -> Result<End, String> {
        let program = launch.program.clone();
        let process = Process::start(launch).map_err(|error| format!("cannot start {program:?}: {error}"))?;
        tell(Sign::Process(process.group(), &process.cgroup()));
        let patience = Patience {
            timeout: Duration::from_secs(self.seconds_for(part)),
            grace: Duration::from_secs(self.settings.grace_seconds),
            is_for_all: guise::ends_orphans(part, self.settings),
        };
        process
            .wait(patience, captures, stop, &mut || tell(Sign::Lasting))
            .map_err(|error| format!("lost the process: {error}"))
    }
}

/// The `environment` input: a map, or the JSON text of one.
fn variables(input: Option<&Value>) -> Vec<(String, String)> {
    let parsed;
    let map = match input {
        Some(Value::Object(map)) => map,
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Object(map)) => {
                parsed = map;
                &parsed
            }
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    map.iter()
        .map(|(name, value)| {
            (
                name.clone(),
                value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            )
        })
        .collect()
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

/// How often the kernel has killed a process of this machine for want of memory.
fn out_of_memory_kills() -> u64 {
    let counters = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let kills = counters
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok());
    kills.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_come_as_a_map_or_as_its_text() {
        let expected = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())];
        assert_eq!(variables(Some(&json!({"A": "1", "B": 2}))), expected);
        assert_eq!(variables(Some(&json!("{\"A\": \"1\", \"B\": 2}"))), expected);
        assert!(variables(Some(&json!(["A"]))).is_empty());
        assert!(variables(Some(&json!("no map"))).is_empty());
        assert!(variables(None).is_empty());
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(killed_by(9, true), "killed by signal 9 (out of memory)");
        assert_eq!(killed_by(11, false), "killed by signal 11 (SIGSEGV)");
        assert_eq!(killed_by(40, false), "killed by signal 40");
    }
}
