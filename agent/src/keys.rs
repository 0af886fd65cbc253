//! The node's key (agent.md B8): made on this machine, in files for the owner only, and told to nobody.
//!
//! ```text
//! node.seed        the key that the node has
//! node.seed.next   a key that is to take its place: offered to the service and not accepted yet
//! node.seed.new    the key with which the machine registers, until it is let in
//! ```
//!
//! A key is on the disk before it is offered, so that an answer that got lost can be asked for again with the same key.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use muster_credential::{Key, KeyKind};

use crate::state::replace_file;

const SEED: &str = "node.seed";
const NEXT: &str = "node.seed.next";
const NEW: &str = "node.seed.new";

/// The keys in a state directory.
#[derive(Debug, Clone)]
pub struct Keys {
    root: PathBuf,
}

impl Keys {
    /// The keys in the state directory at `root`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The key that the node has, if it has one.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no seed.
    pub fn current(&self) -> io::Result<Option<Key>> {
        self.read(SEED)
    }

    /// The key to offer: the one that was offered before and not accepted, otherwise a new one.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn next(&self) -> io::Result<Key> {
        self.read_or_make(NEXT)
    }

    /// The key with which the machine registers: the one of a try that got no answer, otherwise a new one. It is not
    /// one that was offered, which is the former node's.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn registering(&self) -> io::Result<Key> {
        self.read_or_make(NEW)
    }

    /// The key that is offered to the service and not accepted yet, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no seed.
    pub fn offered(&self) -> io::Result<Option<Key>> {
        self.read(NEXT)
    }

    /// The key that was offered is the node's from now on.
    ///
    /// # Errors
    /// What the file system says; then the former key is still there.
    pub fn accept(&self) -> io::Result<()> {
        fs::rename(self.root.join(NEXT), self.root.join(SEED))?;
        File::open(&self.root)?.sync_all()
    }

    /// The key with which the machine registered is the node's from now on.
    ///
    /// # Errors
    /// What the file system says; then the former key is still there.
    pub fn accept_registration(&self) -> io::Result<()> {
        // What was offered was for the node that the machine was, or as it was.
        self.forget(NEXT)?;
        fs::rename(self.root.join(NEW), self.root.join(SEED))?;
        File::open(&self.root)?.sync_all()
    }

    /// The key with which the machine was to register is none that can be used.
    ///
    /// # Errors
    /// What the file system says.
    pub fn give_up_registering(&self) -> io::Result<()> {
        self.forget(NEW)
    }

    /// Removes all keys.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove(&self) -> io::Result<()> {
        [SEED, NEXT, NEW].into_iter().try_for_each(|name| self.forget(name))
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.root.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn read_or_make(&self, name: &str) -> io::Result<Key> {
        if let Some(key) = self.read(name)? {
            return Ok(key);
        }
        let key = Key::generate(KeyKind::User);
        replace_file(&self.root, name, key.seed().expose().as_bytes())?;
        Ok(key)
    }

    fn read(&self, name: &str) -> io::Result<Option<Key>> {
        let text = match fs::read_to_string(self.root.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let key = Key::from_seed(&text, KeyKind::User).map_err(|error| {
            let message = format!("{name}: {error}; remove it and register again with --force");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?;
        Ok(Some(key))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_offered_until_it_is_accepted() {
        let root = tempfile::tempdir().unwrap();
        let keys = Keys::at(root.path());
        assert!(keys.current().unwrap().is_none());
        let offered = keys.next().unwrap();
        assert_eq!(
            keys.next().unwrap().public(),
            offered.public(),
            "after a crash it is the same"
        );
        let mode = fs::metadata(root.path().join(NEXT)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        keys.accept().unwrap();
        assert_eq!(keys.current().unwrap().unwrap().public(), offered.public());
        assert_ne!(keys.next().unwrap().public(), offered.public());
        keys.remove().unwrap();
        assert!(keys.current().unwrap().is_none());
    }

    #[test]
    fn a_machine_never_registers_with_a_key_that_it_has_offered() {
        let root = tempfile::tempdir().unwrap();
        let keys = Keys::at(root.path());
        let offered = keys.next().unwrap();
        let new = keys.registering().unwrap();
        assert_ne!(new.public(), offered.public());
        assert_eq!(
            keys.registering().unwrap().public(),
            new.public(),
            "an answer that got lost is asked for again"
        );
        keys.accept_registration().unwrap();
        assert_eq!(keys.current().unwrap().unwrap().public(), new.public());
        assert!(keys.offered().unwrap().is_none(), "that was the former node's");
        keys.registering().unwrap();
        keys.give_up_registering().unwrap();
        assert_ne!(keys.registering().unwrap().public(), new.public());
        keys.remove().unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_broken_file_is_named_and_not_shown() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(SEED), "SUNOSEED").unwrap();
        let error = Keys::at(root.path()).current().unwrap_err().to_string();
        assert!(error.contains("node.seed") && !error.contains("SUNOSEED"), "{error}");
    }
}
