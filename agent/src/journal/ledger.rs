//! The ends of runs whose logs had to make room: one line for each, so that a run that is delivered again is still
//! recognised and answered (agent.md B2.2, B5).
//!
//! ```text
//! <run> <last sequence> <remembered until, in milliseconds since 1970> <status>
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::RunId;

/// How a run ended, in the least words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The sequence of its last record, which is its result; 0 if it never ran.
    pub last_sequence: u64,
    /// Until when it is remembered: milliseconds since 1970.
    pub until_ms: i64,
    /// The number of its status in the protocol.
    pub status: i32,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    runs: HashMap<RunId, Closed>,
}

impl Ledger {
    /// Reads the file; none is an empty ledger.
    ///
    /// # Errors
    /// If it cannot be read. Lines that are not understood are left out.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other?,
        };
        let of_line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [run, last_sequence, until_ms, status] = words[..] else {
                return None;
            };
            let closed = Closed {
                last_sequence: last_sequence.parse().ok()?,
                until_ms: until_ms.parse().ok()?,
                status: status.parse().ok()?,
            };
            Some((run.parse().ok()?, closed))
        };
        Ok(Self {
            runs: text.lines().filter_map(of_line).collect(),
        })
    }

    /// Writes the file so that it is either the old one or the new one, and survives a power cut.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let draft = path.with_extension("new");
        let file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&draft)?;
        let mut out = io::BufWriter::new(file);
        for (run, closed) in &self.runs {
            let Closed {
                last_sequence,
                until_ms,
                status,
            } = closed;
            writeln!(out, "{run} {last_sequence} {until_ms} {status}")?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&draft, path)?;
        match path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    /// What is known of a run.
    #[must_use]
    pub fn get(&self, run: RunId) -> Option<Closed> {
        self.runs.get(&run).copied()
    }

    /// Adds a run.
    pub fn add(&mut self, run: RunId, closed: Closed) {
        self.runs.insert(run, closed);
    }

    /// Forgets the runs whose time has passed; tells whether there were any.
    pub fn forget(&mut self, now_ms: i64) -> bool {
        let before = self.runs.len();
        self.runs.retain(|_, closed| closed.until_ms > now_ms);
        self.runs.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_read_again_and_forgotten_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let mut ledger = Ledger::read(&path).unwrap();
        let [early, late] = [5, 9].map(|until_ms| Closed {
            last_sequence: 3,
            until_ms,
            status: 1,
        });
        let [one, other] = [RunId::random(), RunId::random()];
        ledger.add(one, early);
        ledger.add(other, late);
        ledger.write(&path).unwrap();
        fs::File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"no line of ours\n")
            .unwrap();
        let mut read = Ledger::read(&path).unwrap();
        assert_eq!(read, ledger);
        assert!(read.forget(5));
        assert_eq!((read.get(one), read.get(other)), (None, Some(late)));
        assert!(!read.forget(5));
    }
}
