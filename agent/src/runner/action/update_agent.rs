//! `aws:updateSsmAgent`: the agent's own program is replaced (agent.md B10, A8; docs/operate/agent-update.md).
//!
//! This is a runner, a process of the old version that the agent's new beginning does not touch. It stays until it is known
//! which version the machine ends up with, and writes the result; whichever agent is there then sends it.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::configure_package::unpack_from;
use super::store::Store;
use super::{Bench, End, Trouble};
use crate::facts;
use crate::journal;
use crate::package::{Machine, Manifest, compare};
use crate::runner::process::{Launch, pause};
use crate::runner::stop::Stop;
use crate::update::{PACKAGE, PROGRAM, Phase, RESTART, Update, Versions};

/// How often it is looked what has become of it.
const LOOK: Duration = Duration::from_millis(50);
/// How long an agent may take to end by itself: it delivers what it has for up to ten seconds.
const DEPARTURE: Duration = Duration::from_secs(15);
/// Longest answer to the question for its version.
const ANSWER: usize = 200;

/// Replaces the program, or goes on with it.
pub(super) fn perform(bench: &mut Bench<'_, '_>) -> Result<End, Trouble> {
    bench.refuse_run_as()?;
    let versions = Versions::at(bench.workshop.state.root());
    let Some(_held) = versions.lock().map_err(disk)? else {
        return Err(Trouble::Failed("another run is updating the agent".into()));
    };
    if let Some(update) = versions.update().map_err(disk)?
        && update.run == bench.workshop.run
    {
        // A runner before us was lost after it had switched; how the agent was started is lost with it.
        return watch(bench, &versions, &update, None);
    }
    let update = match prepare(bench, &versions)? {
        Ok(update) => update,
        Err(end) => return Ok(end),
    };
    wait_for_others(bench)?;
    let agent = Agent::find(bench.workshop.state.agent());
    versions.set_update(&update).map_err(disk)?;
    versions.set_current(Some(&update.to)).map_err(disk)?;
    begin_anew(bench).map_err(|error| {
        // Nothing has happened yet, and nothing will.
        let _ = versions.take_back(&update, "the agent could not be told");
        Trouble::Failed(format!("the agent cannot be told to begin anew: {error}"))
    })?;
    watch(bench, &versions, &update, agent)
}

/// Decides on a version and puts its program beside the old one. `Err`: there is nothing to update.
fn prepare(bench: &mut Bench<'_, '_>, versions: &Versions) -> Result<Result<Update, End>, Trouble> {
    let name = bench.text("agentName").unwrap_or_else(|| PACKAGE.to_owned());
    if name != PACKAGE && name != "amazon-ssm-agent" {
        return Err(Trouble::NeverRan(format!("this is {PACKAGE}; it cannot update {name}")));
    }
    if bench.text("source").is_some() {
        bench.note("the input source is not used: the agent comes from the package store of this node's configuration");
    }
    if versions.base().map_err(disk)?.is_none() {
        return Err(Trouble::NeverRan(
            "this agent was not started as a program of its own and cannot replace itself".into(),
        ));
    }
    let from = facts::version();
    let wanted = bench
        .text("targetVersion")
        .filter(|version| !version.eq_ignore_ascii_case("latest"));
    if wanted.as_deref() == Some(from) {
        return Ok(Err(already(bench, from)));
    }
    let store = Store::open(bench)?.signed_only();
    let manifest = store.manifest(bench, PACKAGE, wanted.as_deref())?;
    let to = manifest.version.clone();
    if !to.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(Trouble::Failed(format!(
            "{to:?} is no version of an agent: it must begin with a digit"
        )));
    }
    match compare(&to, from) {
        Ordering::Equal => return Ok(Err(already(bench, from))),
        Ordering::Less if !is_set(bench, "allowDowngrade") => {
            return Err(Trouble::Failed(format!(
                "{to} is older than {from}, which runs; allowDowngrade must be true for that"
            )));
        }
        _ => {}
    }
    bring(bench, &store, &manifest, versions)?;
    Ok(Ok(Update {
        run: bench.workshop.run,
        from: from.to_owned(),
        to,
        previous: versions.current(),
        phase: Phase::Trial,
        starts: 0,
    }))
}

fn already(bench: &mut Bench<'_, '_>, version: &str) -> End {
    bench.print(&format!("{PACKAGE} {version} runs already"));
    End::Exited(0)
}

/// Fetches, checks, unpacks, and lets the program say its version.
fn bring(bench: &mut Bench<'_, '_>, store: &Store, manifest: &Manifest, versions: &Versions) -> Result<(), Trouble> {
    let version = manifest.version.as_str();
    let chosen = manifest.choose(&Machine::here());
    let (file, facts) = chosen.map_err(|error| Trouble::Failed(format!("{PACKAGE} {version}: {error}")))?;
    bench.print(&format!("fetching {PACKAGE} {version} ({file})"));
    unpack_from(bench, file, &versions.version(version), |bench, archive| {
        store.fetch(bench, &[PACKAGE, version, file], facts, archive)
    })?;
    let program = versions.program(version);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&program, mode)
        .map_err(|error| Trouble::Failed(format!("the package has no program {PROGRAM}: {error}")))?;
    let guise = bench.own_guise()?;
    let launch = Launch {
        program,
        arguments: vec!["version".into()],
        environment: bench.environment(&guise.account, &[]),
        directory: "/".into(),
    };
    let (end, [out, _]) = bench.run_aside(&launch, &guise, ANSWER)?;
    match end {
        End::Exited(0) if out.trim() == version => Ok(()),
        End::Stopped(_) | End::TimedOut => Err(Trouble::Ended(end)),
        _ => Err(Trouble::Failed(format!(
            "the new program does not work here: asked for its version {version} it said {:?} ({end:?}); nothing was changed",
            out.trim()
        ))),
    }
}

/// Waits until this is the only run, unless somebody insists.
fn wait_for_others(bench: &mut Bench<'_, '_>) -> Result<(), Trouble> {
    let is_forced = is_set(bench, "force");
    let mut is_told = false;
    loop {
        let others = other_runners(bench).map_err(disk)?;
        if others == 0 {
            return Ok(());
        }
        if is_forced {
            bench.note(format!("{others} other runs go on meanwhile"));
            return Ok(());
        }
        if !is_told {
            bench.print(&format!("waiting until {others} other runs are over"));
            is_told = true;
        }
        if let Some(reason) = bench.stop.reason() {
            return Err(Trouble::Ended(End::Stopped(reason)));
        }
        if bench.remaining().is_zero() {
            return Err(Trouble::Failed(format!(
                "{others} other runs are still going on; the input force updates the agent all the same"
            )));
        }
        pause(LOOK);
    }
}

fn other_runners(bench: &Bench<'_, '_>) -> io::Result<usize> {
    let journal = bench.workshop.state.journal();
    let others = journal
        .open_runs()?
        .into_iter()
        .filter(|run| *run != bench.workshop.run);
    // A run may be filed away while we look.
    Ok(others
        .filter(|run| journal::is_locked(&journal.open_log(*run)).unwrap_or(false))
        .count())
}

/// Tells the agent to end and to go on as the version that is meant to run.
fn begin_anew(bench: &Bench<'_, '_>) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.send_to(RESTART, bench.workshop.state.notify_socket())?;
    Ok(())
}

/// Waits until the new version has shown that it reaches its service, or takes it back.
fn watch(
    bench: &mut Bench<'_, '_>,
    versions: &Versions,
    update: &Update,
    agent: Option<Agent>,
) -> Result<End, Trouble> {
    let seconds = bench.workshop.settings.update.confirm_seconds;
    let window = Duration::from_secs(seconds);
    let end = Instant::now() + window;
    let mut seen_alive = Instant::now();
    loop {
        match versions.update().map_err(disk)? {
            Some(now) if now.run == update.run => match now.phase {
                Phase::Trial => {}
                Phase::Confirmed => {
                    bench.print(&format!("{PACKAGE} {} was replaced by {}", now.from, now.to));
                    tidy(versions, &now).map_err(disk)?;
                    return Ok(End::Exited(0));
                }
                Phase::TakenBack(ref why) => return Err(taken_back(&now, why)),
            },
            _ => return Err(Trouble::Failed("another update has taken the place of this one".into())),
        }
        if bench.stop.reason() == Some(Stop::Shutdown) {
            return Err(Trouble::Ended(End::Stopped(Stop::Shutdown)));
        }
        let now = Instant::now();
        if Agent::find(bench.workshop.state.agent()).is_some() {
            seen_alive = now;
        }
        let why = if now >= end {
            format!("it did not reach its service within {seconds} seconds")
        } else if now.duration_since(seen_alive) > window / 20 {
            "it ended by itself".to_owned()
        } else {
            pause(LOOK);
            continue;
        };
        versions.take_back(update, &why).map_err(disk)?;
        bring_back(bench, versions, agent);
        return Err(taken_back(update, &why));
    }
}

fn taken_back(update: &Update, why: &str) -> Trouble {
    Trouble::Failed(format!(
        "{} was taken back and {} runs again: {why}",
        update.to, update.from
    ))
}

/// Makes the previous version run: by asking, by ending what does not answer, and in the end by starting it.
fn bring_back(bench: &mut Bench<'_, '_>, versions: &Versions, started_as: Option<Agent>) {
    let state = bench.workshop.state;
    // One that nobody can ask is not waited for.
    let patience = match begin_anew(bench) {
        Ok(()) => DEPARTURE,
        Err(_) => Duration::ZERO,
    };
    if let Some(failed) = Agent::find(state.agent()) {
        let until = Instant::now() + patience;
        while failed.is_still_itself() && Instant::now() < until {
            pause(LOOK);
        }
        if failed.is_still_itself() {
            failed.kill();
            // A signal takes a moment, in which the dying process must not pass for one that somebody started.
            let until = Instant::now() + DEPARTURE;
            while failed.is_still_itself() && Instant::now() < until {
                pause(LOOK);
            }
        }
    }
    // Whoever keeps the agent running, a service unit or a supervisor, is given the time to do it.
    let until = Instant::now() + Duration::from_secs(bench.workshop.settings.update.confirm_seconds) / 10;
    while Instant::now() < until {
        if Agent::find(state.agent()).is_some() {
            return;
        }
        pause(LOOK);
    }
    match (started_as, versions.successor()) {
        (Some(agent), Ok(Some(program))) => match agent.start_again_as(&program) {
            Ok(()) => bench.note("nobody started the agent again, so this run did"),
            Err(error) => bench.note(format!("the agent could not be started again: {error}")),
        },
        _ => bench.note("the agent does not run; start it again"),
    }
}

/// Programs that nobody will come back to.
fn tidy(versions: &Versions, update: &Update) -> io::Result<()> {
    let kept = [Some(&update.to), update.previous.as_ref()];
    versions.keep_only(&kept.into_iter().flatten().map(String::as_str).collect::<Vec<_>>())
}

/// A live process of the agent, and how it was started. Holds its environment, so it is never shown.
struct Agent {
    pid: Pid,
    program: PathBuf,
    arguments: Vec<std::ffi::OsString>,
    environment: Vec<(std::ffi::OsString, std::ffi::OsString)>,
}

impl Agent {
    /// The process with this number, if it lives.
    fn find(pid: Option<u32>) -> Option<Self> {
        let pid = pid?;
        let about = PathBuf::from(format!("/proc/{pid}"));
        let stat = fs::read_to_string(about.join("stat")).ok()?;
        // After the command's name, which may hold blanks, comes the state.
        if matches!(stat.rsplit_once(") ")?.1.chars().next(), None | Some('Z' | 'X')) {
            return None;
        }
        let list = |file: &str| -> Option<Vec<std::ffi::OsString>> {
            let bytes = fs::read(about.join(file)).ok()?;
            let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
            Some(parts.map(|part| std::ffi::OsString::from_vec(part.to_vec())).collect())
        };
        let environment = list("environ").unwrap_or_default().into_iter().filter_map(|variable| {
            let text = variable.into_string().ok()?;
            let (name, value) = text.split_once('=')?;
            Some((name.into(), value.into()))
        });
        Some(Self {
            pid: Pid::from_raw(i32::try_from(pid).ok()?)?,
            program: fs::read_link(about.join("exe")).ok()?,
            arguments: list("cmdline")?.into_iter().skip(1).collect(),
            environment: environment.collect(),
        })
    }

    /// Whether the process still runs the program that it ran when it was found.
    fn is_still_itself(&self) -> bool {
        let now = Self::find(u32::try_from(self.pid.as_raw_nonzero().get()).ok());
        now.is_some_and(|now| now.program == self.program && now.arguments == self.arguments)
    }

    fn kill(&self) {
        // It may be gone already, which is what we want.
        let _ = kill_process(self.pid, Signal::KILL);
    }

    fn start_again_as(&self, program: &Path) -> io::Result<()> {
        Command::new(program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(())
    }
}

fn is_set(bench: &Bench<'_, '_>, input: &str) -> bool {
    bench.text(input).is_some_and(|word| word.eq_ignore_ascii_case("true"))
}

fn disk(error: io::Error) -> Trouble {
    Trouble::Failed(format!("the state of updates cannot be kept: {error}"))
}
