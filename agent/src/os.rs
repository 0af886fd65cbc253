//! The agent's edge to the operating system: the only place with `unsafe`.
//!
//! What rustix offers safely is used where it is needed; here is what it does not.

#![expect(
    unsafe_code,
    reason = "foreign descriptors, signal masks, readiness and what a child does before its program have no safe interface"
)]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Gid, Pid, Resource, Rlimit, Uid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Marks every descriptor but the first three close-on-exec, so that a script inherits nothing.
/// Rust opens files that way already; this is about descriptors that whoever started us left open.
///
/// # Errors
/// If the list of open descriptors cannot be read.
pub(crate) fn close_descriptors_on_exec() -> io::Result<()> {
    for entry in fs::read_dir("/dev/fd")? {
        let Some(fd) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else {
            continue;
        };
        if fd > 2 {
            // SAFETY: the descriptor was open a moment ago and is only borrowed for one call; should it have been
            // closed since (the listing's own is), the call answers EBADF, which is ignored.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            let _ = fcntl_setfd(fd, FdFlags::CLOEXEC);
        }
    }
    Ok(())
}

/// Gives signals back their ordinary meaning: none blocked, and hangup, interrupt and quit not ignored.
/// Children inherit both, and whoever started us may have changed them (`nohup` does).
pub(crate) fn reset_signals() {
    // SAFETY: an all-zero set is only passed to `sigemptyset`, which initialises it; the calls take valid
    // pointers, and no handler is installed, so no code of ours runs in a signal's context.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGCHLD] {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Lets the runtime watch a descriptor for readability.
///
/// # Errors
/// If the kernel cannot watch this kind of descriptor.
pub(crate) fn watch_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the value returned owns the descriptor and never hands it out, so that it stays open, and the same,
    // until it is taken off the runtime's list when the value is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Splits this process in two; `Some` with the child's id in the parent, `None` in the child.
///
/// # Errors
/// If there is more than one thread, because the others would be missing in the child in the middle of whatever they
/// do; or if the system has no room for a process.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process with several threads is not split"));
    }
    // SAFETY: this is the only thread, as was just counted, and no other can have begun since; so the child is a
    // complete copy in which no lock is held by anybody else.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        child => Ok(Pid::from_raw(child)),
    }
}

/// Lets the kernel bury children at once, without anybody waiting for them.
pub(crate) fn leave_children_to_the_kernel() {
    // SAFETY: ignoring a signal installs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Whom a process becomes.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    /// A user with its group and its supplementary groups.
    pub(crate) fn new(uid: Uid, gid: Gid, groups: Vec<Gid>) -> Self {
        Self { uid, gid, groups }
    }
}

/// What a child puts on between its birth and its program, in this order.
#[derive(Debug, Default)]
pub(crate) struct Dress {
    /// The door of a control group.
    pub(crate) cgroup: Option<OwnedFd>,
    pub(crate) limits: Vec<(Resource, Rlimit)>,
    pub(crate) identity: Option<Identity>,
    /// Entered as the new user, who may not be let in.
    pub(crate) directory: Option<CString>,
}

impl Dress {
    fn is_nothing(&self) -> bool {
        self.cgroup.is_none() && self.limits.is_empty() && self.identity.is_none() && self.directory.is_none()
    }

    fn put_on(&self) -> io::Result<()> {
        if let Some(door) = &self.cgroup {
            rustix::io::write(door, b"0")?;
        }
        for (resource, limit) in &self.limits {
            rustix::process::setrlimit(*resource, *limit)?;
        }
        if let Some(identity) = &self.identity {
            rustix::thread::set_thread_groups(&identity.groups)?;
            rustix::thread::set_thread_gid(identity.gid)?;
            rustix::thread::set_thread_uid(identity.uid)?;
        }
        if let Some(directory) = &self.directory {
            rustix::process::chdir(directory.as_c_str())?;
        }
        Ok(())
    }
}

/// Lets the child of a command put something on before its program starts.
pub(crate) fn dress(command: &mut Command, dress: Dress) {
    if dress.is_nothing() {
        return;
    }
    // SAFETY: between fork and exec the closure only makes system calls, through rustix and without the C library: it
    // allocates nothing and takes no lock, and everything it needs was made before. The calls that change the user do
    // so for the calling thread, which is the child's only one.
    unsafe {
        command.pre_exec(move || dress.put_on());
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::io::{fcntl_getfd, fcntl_setfd};

    use super::*;

    #[test]
    fn descriptors_left_open_are_marked() {
        let file = fs::File::open("/dev/null").unwrap();
        fcntl_setfd(file.as_fd(), FdFlags::empty()).unwrap();
        close_descriptors_on_exec().unwrap();
        assert_eq!(fcntl_getfd(file.as_fd()).unwrap(), FdFlags::CLOEXEC);
    }
}
