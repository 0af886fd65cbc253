//! Credentials on trial (agent.md D18): with another key, until the node has connected with them and was answered.
//!
//! ```text
//! node.creds          what the node connects with
//! node.creds.former   the other ones of the two, while one is on trial
//! node.seed.next      the key that is on trial, see `keys`
//! ```
//!
//! Each step is one rename, so whatever is interrupted leaves credentials that are whole, and both keys.

use std::fs::{self, File};
use std::io;

use muster_credential::Creds;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::keys::Keys;
use crate::state::{StateDir, replace_file};

/// The file with the credentials that are not in use.
pub(crate) const FORMER: &str = "node.creds.former";

/// With which of two keys the node connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// With the new one, which nobody has confirmed yet.
    New,
    /// With the former one: the new one was refused.
    Former,
}

impl StateDir {
    /// Whether a key is on trial, and which one is in use.
    ///
    /// # Errors
    /// If a file cannot be read, or is not understood.
    pub fn trial(&self) -> io::Result<Option<Trial>> {
        let (used, former) = (self.credentials()?, self.former_credentials()?);
        let (Some(new), Some(used), Some(former)) = (Keys::at(self.root()).offered()?, used, former) else {
            return Ok(None);
        };
        let is_new = |creds: &Creds| creds.key().public() == new.public();
        Ok(match (is_new(&used), is_new(&former)) {
            (true, false) => Some(Trial::New),
            (false, true) => Some(Trial::Former),
            // Interrupted before it began.
            _ => None,
        })
    }

    /// Connects with these from now on; those that were good stay.
    ///
    /// # Errors
    /// What the file system says; then those that were good are in use.
    pub fn try_credentials(&self, creds: &Creds) -> io::Result<()> {
        if let Some(used) = self.credentials()?
            && used.key().public() != creds.key().public()
        {
            replace_file(self.root(), FORMER, used.to_text().as_bytes())?;
        }
        self.set_credentials(creds)
    }

    /// Connects with the other ones of the two.
    ///
    /// # Errors
    /// What the file system says; then nothing has changed.
    pub fn exchange_credentials(&self) -> io::Result<()> {
        let (used, former) = (self.credentials_file(), self.root().join(FORMER));
        renameat_with(CWD, used, CWD, former, RenameFlags::EXCHANGE)?;
        File::open(self.root())?.sync_all()
    }

    /// The credentials on trial are the node's, and their key is.
    ///
    /// # Errors
    /// What the file system says; it can be done again.
    pub fn keep_credentials(&self) -> io::Result<()> {
        let keys = Keys::at(self.root());
        if keys.offered()?.is_some() {
            keys.accept()?;
        }
        self.forget_former()
    }

    /// Removes what a trial that has ended left.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_former(&self) -> io::Result<()> {
        if Keys::at(self.root()).offered()?.is_some() {
            return Ok(());
        }
        match fs::remove_file(self.root().join(FORMER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn former_credentials(&self) -> io::Result<Option<Creds>> {
        let text = match fs::read_to_string(self.root().join(FORMER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let creds = Creds::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some(creds))
    }
}

#[cfg(test)]
mod tests {
    use muster_credential::layout::NodeClaims;
    use muster_credential::{Key, KeyKind};

    use super::*;

    fn creds(key: Key) -> Creds {
        let account = Key::generate(KeyKind::Account);
        let claims = NodeClaims {
            node: "mi-0123456789abcdef0",
            tags: Vec::new(),
            now: 0,
            life: 60,
        };
        claims.creds(key, account.public(), &account).unwrap()
    }

    fn used(state: &StateDir) -> String {
        state.credentials().unwrap().unwrap().key().public().to_string()
    }

    #[test]
    fn both_keys_are_there_until_the_new_one_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::at(root.path());
        let keys = Keys::at(root.path());
        // As after a registration.
        let old = keys.next().unwrap();
        keys.accept().unwrap();
        state.set_credentials(&creds(old.clone())).unwrap();
        assert_eq!(state.trial().unwrap(), None);

        let new = keys.next().unwrap();
        assert_eq!(state.trial().unwrap(), None, "offered, and not answered");
        state.try_credentials(&creds(new.clone())).unwrap();
        assert_eq!(
            (state.trial().unwrap(), used(&state)),
            (Some(Trial::New), new.public().to_string())
        );
        // Answered twice.
        state.try_credentials(&creds(new.clone())).unwrap();
        state.exchange_credentials().unwrap();
        assert_eq!(
            (state.trial().unwrap(), used(&state)),
            (Some(Trial::Former), old.public().to_string())
        );
        // Offered again after it was refused: the good ones are not lost.
        state.try_credentials(&creds(new.clone())).unwrap();
        state.exchange_credentials().unwrap();
        assert_eq!(used(&state), old.public().to_string());
        state.exchange_credentials().unwrap();
        state.keep_credentials().unwrap();
        assert_eq!((state.trial().unwrap(), used(&state)), (None, new.public().to_string()));
        assert_eq!(keys.current().unwrap().unwrap().public(), new.public());
        assert!(!root.path().join(FORMER).exists());
        state.keep_credentials().unwrap();
    }

    #[test]
    fn a_trial_that_was_interrupted_before_it_began_is_none() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::at(root.path());
        let keys = Keys::at(root.path());
        let old = keys.next().unwrap();
        keys.accept().unwrap();
        state.set_credentials(&creds(old.clone())).unwrap();
        keys.next().unwrap();
        fs::copy(state.credentials_file(), root.path().join(FORMER)).unwrap();
        assert_eq!(state.trial().unwrap(), None);
        assert_eq!(used(&state), old.public().to_string());
    }
}
