//! A small process that has runners ready: it forks one in a third of the time that starting the program anew takes.
//!
//! It is split off before the agent has threads or a connection, so that a fork of it is a complete process with nothing
//! of the agent's in it.
//! It knows only how to fork; which run, and what to do with it, the runner finds in the journal as ever.
//! It ends when the agent does. Without it runners are started as programs: slower, otherwise the same.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};

use crate::journal::RunId;
use crate::os;
use crate::runner;

/// A fork takes well below a millisecond; a nursery that does not answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The agent's end of the nursery.
#[derive(Debug)]
pub struct Nursery {
    socket: OwnedFd,
    process: Pid,
}

impl Nursery {
    /// Splits the nursery off this process, for runs whose journal is below `root`.
    ///
    /// # Errors
    /// If this process has threads already, or the system has no room.
    pub fn open(root: &Path) -> io::Result<Self> {
        let (socket, its_end) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        match os::fork()? {
            Some(process) => {
                set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
                Ok(Self { socket, process })
            }
            None => {
                drop(socket);
                // Whatever happens here must not go on as a second agent.
                let code = serve(its_end, root).unwrap_or(1);
                std::process::exit(code);
            }
        }
    }

    /// Starts a runner; its pid file descriptor. `None`: it is over already.
    ///
    /// # Errors
    /// If the nursery is gone or has no room; the caller may start a program instead.
    pub(crate) fn start(&self, run: RunId) -> io::Result<Option<OwnedFd>> {
        send(&self.socket, run.to_string().as_bytes(), SendFlags::NOSIGNAL)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut answer = [0];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.socket, &mut [IoSliceMut::new(&mut answer)], &mut control, flags)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if answer == [FAILED] {
            return Err(io::Error::other("the nursery cannot fork"));
        }
        Ok(control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        }))
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        // It ends when it finds our end closed; if it has ended already it is buried here.
        let _ = waitpid(Some(self.process), WaitOptions::NOHANG);
    }
}

const STARTED: u8 = 1;
const FAILED: u8 = 0;

/// The life of the nursery; the exit code of this process or of one of its children.
fn serve(socket: OwnedFd, root: &Path) -> io::Result<i32> {
    // The agent's terminal, pipes and children are none of ours.
    rustix::process::chdir("/")?;
    let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    drop(null);
    os::close_descriptors_on_exec()?;
    os::leave_children_to_the_kernel();
    rustix::thread::set_name(c"muster-nursery")?;
    let mut name = [0; 64];
    loop {
        let (length, _) = match recv(&socket, &mut name, RecvFlags::empty()) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let run: Option<RunId> = std::str::from_utf8(&name[..length])
            .ok()
            .and_then(|name| name.parse().ok());
        let Some(run) = run else {
            // Nothing: the agent has ended.
            return Ok(0);
        };
        match os::fork() {
            Ok(Some(child)) => answer(socket.as_fd(), STARTED, pidfd_open(child, PidfdFlags::NONBLOCK).ok())?,
            Ok(None) => {
                drop(socket);
                rustix::thread::set_name(c"muster-runner")?;
                return Ok(i32::from(runner::run_to_exit(root, run)));
            }
            Err(_) => answer(socket.as_fd(), FAILED, None)?,
        }
    }
}

fn answer(socket: BorrowedFd<'_>, word: u8, descriptor: Option<OwnedFd>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.iter().map(AsFd::as_fd).collect();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    sendmsg(socket, &[IoSlice::new(&[word])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
