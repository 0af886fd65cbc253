//! One child process of a step: started in a group of its own, drained, and stopped as a whole (agent.md B4).
//!
//! The step ends when the main process has exited, not when its pipes are closed: a background child that still
//! holds them keeps running, and what it writes for at most two more seconds is taken along.
//! On a timeout or a stop all of them get SIGTERM, a grace period, then SIGKILL: the process group, and the control group,
//! or without one the whole family (`kin`). The call returns when nobody is left.
//!
//! Everything happens in one `poll` loop without threads.

use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use muster_document::Outcome;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, test_kill_process_group, waitpgid,
};

use super::capture::Capture;
use super::cgroup::Cgroup;
use super::kin::{self, Kin};
use super::stop::{Stop, StopSignal};
use crate::journal;
use crate::os::{self, Dress};

/// How long pipes are drained after the main process has exited, at most.
const DRAIN: Duration = Duration::from_secs(2);
/// A pipe that is still held but silent for so long is given up.
const QUIET: Duration = Duration::from_millis(200);
/// A step that is over within a moment is told about once, at its end.
const MOMENT: Duration = Duration::from_millis(500);
/// How often a dying group is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long after SIGKILL the group may take to vanish.
const VANISH: Duration = Duration::from_secs(5);

/// What to start, and where.
#[derive(Debug)]
pub(crate) struct Launch {
    /// An absolute path, so that no search happens in the child.
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
}

/// What a process gets besides: a user and limits, a control group. By default it is like ourselves.
#[derive(Debug, Default)]
pub(crate) struct Outfit {
    pub(crate) dress: Dress,
    pub(crate) cgroup: Option<Cgroup>,
}

/// How long a step may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From the start until SIGTERM.
    pub(crate) timeout: Duration,
    /// From SIGTERM until SIGKILL.
    pub(crate) grace: Duration,
    /// Whether children that are left when the main process has exited are ended as well.
    pub(crate) is_for_all: bool,
}

/// How a part ended; mostly how its main process did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Killed(i32),
    /// We stopped it: it took too long.
    TimedOut,
    /// We stopped it: somebody asked.
    Stopped(Stop),
    /// No process ended: the action says itself what became of it and with which code, and has said why.
    Concluded(Outcome, i32),
}

/// A started process; `wait` brings it to its end.
pub(crate) struct Process {
    child: Child,
    group: Pid,
    exit: OwnedFd,
    streams: [Option<OwnedFd>; 2],
    started: Instant,
    beyond: Beyond,
    /// Process groups of our session that were there before.
    earlier: Vec<u32>,
}

/// Who belongs to the step beyond the process group, which can be left.
enum Beyond {
    Group(Cgroup),
    Family(Kin),
}

impl Beyond {
    /// `group` is the process group, which gets its signal as a whole.
    fn signal(&self, signal: Signal, group: u32) {
        match self {
            Self::Group(group) => group.signal(signal),
            Self::Family(kin) => kin.signal(signal, group),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Group(group) => group.is_empty(),
            Self::Family(kin) => kin.is_empty(),
        }
    }
}

impl Process {
    /// Starts the process in a group of its own, with nothing on its standard input.
    pub(crate) fn start(launch: &Launch, mut outfit: Outfit) -> io::Result<Self> {
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .env_clear()
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if outfit.dress.identity.is_some() {
            let directory = launch.directory.clone().into_os_string();
            outfit.dress.directory = Some(CString::new(directory.into_encoded_bytes())?);
        } else {
            command.current_dir(&launch.directory);
        }
        if let Some(cgroup) = &outfit.cgroup {
            outfit.dress.cgroup = Some(cgroup.door()?);
        }
        let beyond = match outfit.cgroup {
            Some(group) => Beyond::Group(group),
            None => Beyond::Family(Kin::before_start()),
        };
        let earlier = match kin::children().is_empty() {
            // Mostly there is nobody.
            true => Vec::new(),
            false => earlier_groups(),
        };
        os::dress(&mut command, outfit.dress);
        let mut child = command.spawn()?;
        let group = Pid::from_child(&child);
        let exit = pidfd_open(group, PidfdFlags::empty())?;
        let streams = [
            child.stdout.take().map(OwnedFd::from),
            child.stderr.take().map(OwnedFd::from),
        ];
        for stream in streams.iter().flatten() {
            rustix::io::ioctl_fionbio(stream, true)?;
        }
        Ok(Self {
            child,
            group,
            exit,
            streams,
            started: Instant::now(),
            beyond,
            earlier,
        })
    }

    /// What a successor of this runner has to know of it.
    pub(crate) fn note(&self) -> journal::Process {
        journal::Process {
            group: self.child.id(),
            earlier: self.earlier.clone(),
            control_group: match &self.beyond {
                Beyond::Group(group) => group.name(),
                Beyond::Family(_) => String::new(),
            },
        }
    }

    /// Drains the streams into `captures` (standard output, standard error) until the end of the step.
    /// `is_lasting` is called once if that takes more than a moment.
    pub(crate) fn wait(
        mut self,
        patience: Patience,
        captures: &mut [Capture; 2],
        stop: &mut StopSignal,
        is_lasting: &mut dyn FnMut(),
    ) -> io::Result<End> {
        let mut buffer = vec![0; 64 * 1024];
        let mut moment = Some(MOMENT);
        let reason = loop {
            if let Some(status) = self.child.try_wait()? {
                if patience.is_for_all {
                    self.terminate(patience.grace, captures, &mut buffer)?;
                }
                self.drain_rest(captures, &mut buffer)?;
                return Ok(End::of(status));
            }
            if let Some(reason) = stop.reason() {
                break End::Stopped(reason);
            }
            let elapsed = self.started.elapsed();
            if elapsed >= patience.timeout {
                break End::TimedOut;
            }
            if moment.take_if(|moment| elapsed >= *moment).is_some() {
                is_lasting();
            }
            let next = moment.unwrap_or(patience.timeout).min(patience.timeout) - elapsed;
            self.poll_once(Some(next), captures, &mut buffer, Some(stop))?;
        };
        self.terminate(patience.grace, captures, &mut buffer)?;
        self.drain_rest(captures, &mut buffer)?;
        Ok(reason)
    }

    /// SIGTERM, grace, SIGKILL; returns when nobody is left.
    fn terminate(&mut self, grace: Duration, captures: &mut [Capture; 2], buffer: &mut [u8]) -> io::Result<()> {
        for (signal, patience) in [(Signal::TERM, grace), (Signal::KILL, VANISH)] {
            let _ = kill_process_group(self.group, signal);
            self.beyond.signal(signal, self.child.id());
            let until = Instant::now() + patience;
            loop {
                let exited = self.child.try_wait()?.is_some();
                if exited && !group_is_alive(self.group) && self.beyond.is_empty() {
                    return Ok(());
                }
                if Instant::now() >= until {
                    break;
                }
                if signal == Signal::KILL {
                    // Whoever was born since.
                    self.beyond.signal(signal, self.child.id());
                }
                self.poll_once(Some(LOOK), captures, buffer, None)?;
                if exited {
                    // The exit descriptor stays readable, so that `poll` no longer waits.
                    pause(LOOK);
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "processes of the step survived SIGKILL",
        ))
    }

    /// Takes what is still in the pipes, until their end, until they fall silent, or for two seconds.
    fn drain_rest(&mut self, captures: &mut [Capture; 2], buffer: &mut [u8]) -> io::Result<()> {
        let until = Instant::now() + DRAIN;
        while self.streams.iter().any(Option::is_some) && Instant::now() < until {
            let mut fds: Vec<PollFd<'_>> = self.streams.iter().flatten().map(readable).collect();
            if wait_for(&mut fds, Some(QUIET))? == 0 {
                break;
            }
            self.read_streams(captures, buffer)?;
        }
        Ok(())
    }

    /// Waits for news of any kind and reads what is there.
    fn poll_once(
        &mut self,
        timeout: Option<Duration>,
        captures: &mut [Capture; 2],
        buffer: &mut [u8],
        stop: Option<&mut StopSignal>,
    ) -> io::Result<()> {
        {
            let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(4);
            fds.push(readable(&self.exit));
            fds.extend(self.streams.iter().flatten().map(readable));
            if let Some(stop) = stop.as_deref() {
                fds.push(readable(stop));
            }
            wait_for(&mut fds, timeout)?;
        }
        self.read_streams(captures, buffer)
    }

    /// Reads each stream until it would block; a stream at its end is closed.
    fn read_streams(&mut self, captures: &mut [Capture; 2], buffer: &mut [u8]) -> io::Result<()> {
        for (stream, capture) in self.streams.iter_mut().zip(captures) {
            // A writer that is never slower than we are must not keep us from looking at the clock.
            for _ in 0..16 {
                let Some(open) = stream.as_ref() else { break };
                match rustix::io::read(open, &mut *buffer) {
                    Ok(0) => *stream = None,
                    Ok(length) => capture.push(&buffer[..length]),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(rustix::io::Errno::AGAIN) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

impl End {
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Killed(signal.unwrap_or_default()),
        }
    }
}

/// Ends whatever is left of a dead runner's session but its own group and the `known` ones, which earlier scripts left behind
/// on purpose. Nothing happens if the session is another's by now: where processes are numbered from the beginning again, as
/// in a container that was started again, the numbers alone do not tell.
pub(crate) fn kill_unknown_groups(known: &[u32], session: u32) {
    if has_living_leader(session) {
        return;
    }
    let groups = groups_of(session).into_iter();
    for group in groups.filter(|group| *group != session && !known.contains(group)) {
        kill_all(group);
    }
}

/// Whether the process that began a session lives; if it is not we ourselves, the session is not the dead runner's.
fn has_living_leader(session: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{session}/stat"));
    let is_dead = |stat: &str| {
        let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
        matches!(state, Some('Z' | 'X' | 'x'))
    };
    session != std::process::id() && stat.is_ok_and(|stat| !is_dead(&stat))
}

fn kill_all(group: u32) {
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Process groups of our session but our own.
fn earlier_groups() -> Vec<u32> {
    let number = |pid: Pid| u32::try_from(pid.as_raw_nonzero().get()).unwrap_or_default();
    let session = rustix::process::getsid(None).map_or(0, number);
    let own = number(rustix::process::getpgrp());
    groups_of(session).into_iter().filter(|group| *group != own).collect()
}

/// The process groups in `session`; the numbers of both together are not used again by chance.
fn groups_of(session: u32) -> BTreeSet<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok())
        .filter_map(|stat| {
            // After the command's name, which may hold blanks: state, parent, group, session.
            let (_, fields) = stat.rsplit_once(") ")?;
            let mut numbers = fields.split(' ').skip(2).map(str::parse::<u32>);
            let (group, in_session) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
            (in_session == session).then_some(group)
        })
        .collect()
}

/// Buries members that have died (we are their reaper) and tells whether anybody lives.
fn group_is_alive(group: Pid) -> bool {
    while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
    test_kill_process_group(group).is_ok()
}

fn readable<Fd: AsFd>(fd: &Fd) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::IN)
}

/// As `poll`; an interruption by a signal counts as "nothing yet".
fn wait_for(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    });
    match poll(fds, timeout.as_ref()) {
        Ok(ready) => Ok(ready),
        Err(rustix::io::Errno::INTR) => Ok(1),
        Err(error) => Err(error.into()),
    }
}

/// A pause without a descriptor to wait for.
pub(crate) fn pause(duration: Duration) {
    let _ = wait_for(&mut [], Some(duration));
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < end, "{what}");
            pause(LOOK);
        }
    }

    #[test]
    fn a_session_is_left_alone_as_long_as_whoever_began_it_lives() {
        // `timeout` makes a group of its own within the session.
        let mut leader = Command::new("setsid")
            .args(["sh", "-c", "timeout 600 sleep 600 & echo $!; read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(leader.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (session, group): (u32, u32) = (leader.id(), line.trim().parse().unwrap());
        let is_alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{group}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        until("the group is there", || groups_of(session).contains(&group));
        kill_unknown_groups(&[], session);
        assert!(leader.try_wait().unwrap().is_none());
        assert!(is_alive(), "it may be somebody else's");

        leader.kill().unwrap();
        until("the leader is dead", || !has_living_leader(session));
        kill_unknown_groups(&[group], session);
        assert!(is_alive(), "it was known");
        kill_unknown_groups(&[], session);
        until("the group is ended", || !is_alive());
        leader.wait().unwrap();
    }
}
