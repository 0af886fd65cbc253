//! One run's log file: appended to by whoever holds its lock, read by anybody.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use prost::Message;

use super::entry::{Entry, Fact};
use super::frame;
use super::history::History;

/// A log that this process alone may append to, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Log {
    file: File,
    buffer: Vec<u8>,
}

impl Log {
    /// Makes a new log; the caller must sync it and its directory.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one; otherwise what the file system says.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self {
            file,
            buffer: Vec::new(),
        })
    }

    /// Takes the lock, reads the log and cuts off a torn tail. `None`: somebody else holds the lock.
    ///
    /// # Errors
    /// If the file is not there or cannot be read.
    pub fn lock(path: &Path) -> io::Result<Option<(Self, History)>> {
        let mut file = File::options().read(true).append(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        let (history, intact) = History::read(&bytes);
        if intact < bytes.len() {
            file.set_len(intact as u64)?;
        }
        Ok(Some((
            Self {
                file,
                buffer: Vec::new(),
            },
            history,
        )))
    }

    /// Adds a fact to what the next `write` writes.
    pub fn add(&mut self, fact: impl Into<Fact>) {
        frame::append(&mut self.buffer, &Entry::from(fact.into()).encode_to_vec());
    }

    /// Writes what was added, in one call: it survives this process, not yet a power cut.
    ///
    /// # Errors
    /// If the disk is full or broken. What was added stays, and a torn frame is cut off, so that it can be tried again.
    pub fn write(&mut self) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(&self.buffer) {
            let _ = self.file.set_len(before);
            return Err(error);
        }
        self.buffer.clear();
        Ok(())
    }

    /// Writes what was added and waits until it would survive a power cut.
    ///
    /// # Errors
    /// As `write`.
    pub fn commit(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.write()?;
        }
        self.file.sync_data()
    }
}

/// Reads a log without taking its lock; what is just being appended may be missing.
///
/// # Errors
/// If the file is not there or cannot be read.
pub fn read(path: &Path) -> io::Result<History> {
    Ok(History::read(&fs::read(path)?).0)
}

/// Whether somebody holds the log's lock, which means that a runner is alive.
///
/// # Errors
/// If the file is not there.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    match File::open(path)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
