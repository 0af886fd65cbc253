//! The agent's directory on disk.
//!
//! ```text
//! node.json           who this machine is
//! node.seed           the node's key, see `keys`
//! node.creds          the node's claims for the bus with its key, where the bus asks for them; see `trial`
//! ca-….pem            the authority of the bus, where a registration told it
//! work-keys.json      whose work is carried out
//! lock                held by the agent that runs on this directory; holds its process id
//! settings.toml       the last configuration that was good; runners read it
//! status.json         what the running agent says about itself
//! notify.sock         where runners say that there is news
//! courier.sock        where runners ask what only a service can answer
//! uploads/…           outputs that are still to be stored, one note each
//! objects/…           the object store, unless another one is configured
//! journal/…           see `journal`
//! packages/…          installed packages, see `package`
//! versions/…          programs of the agent that came as updates, see `update`
//! inventory/custom/…  inventory that somebody else on the machine writes
//! runs/<run>/…        scripts, outputs and downloads of a run; may be removed as a whole once the run is done
//! ```

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use muster_credential::Creds;
use muster_credential::work::WorkKeys;
use muster_model::NodeId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::facts;
use crate::journal::{Journal, RunId};
use crate::report::Report;
use crate::settings::Settings;
use crate::trial::FORMER;

const CREDENTIALS: &str = "node.creds";
const WORK_KEYS: &str = "work-keys.json";

/// Who this machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// What stays the same when the machine registers again: the system's own id where there is one, and a random one.
    pub machine: String,
    /// The node it was registered as.
    pub node: Option<NodeId>,
    /// Where it was registered; empty: as configured.
    #[serde(default)]
    pub server: String,
    /// The authority of that server's certificate; empty: as configured.
    #[serde(default)]
    pub ca: PathBuf,
    /// With this it may ask there without credentials; empty: it cannot.
    #[serde(default)]
    pub ticket: String,
    /// The gateway where it was registered; empty: on the bus.
    #[serde(default)]
    pub url: String,
    /// The authority of the gateway's certificate; empty: one that the system trusts.
    #[serde(default)]
    pub url_ca: PathBuf,
    /// Whether whoever registered it has said that the way there need not be encrypted; none: registered by a version that
    /// asked for it, and did not write it down.
    #[serde(default)]
    pub insecure: Option<bool>,
}

/// The directory.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
    journal: Journal,
}

/// Says that an agent runs on the directory, as long as it exists.
#[derive(Debug)]
pub struct Occupied(File);

impl Occupied {
    /// Writes down which process it is.
    ///
    /// # Errors
    /// What the file system says.
    pub fn introduce(&self) -> io::Result<()> {
        self.0.set_len(0)?;
        (&self.0).write_all(std::process::id().to_string().as_bytes())
    }
}

impl StateDir {
    /// The directory at `root`, which need not exist yet.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            journal: Journal::at(&root.join("journal")),
        }
    }

    /// Makes the directory and what belongs in it, for the owner only.
    ///
    /// # Errors
    /// What the file system says.
    pub fn prepare(&self) -> io::Result<()> {
        make_private_directory(&self.runs())?;
        self.journal.prepare()
    }

    /// Takes the directory for this process. `None`: another agent has it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn occupy(&self) -> io::Result<Option<Occupied>> {
        Ok(take_lock(&self.root.join("lock"))?.map(Occupied))
    }

    /// The process of the agent that runs on the directory, or ran there last.
    #[must_use]
    pub fn agent(&self) -> Option<u32> {
        fs::read_to_string(self.root.join("lock")).ok()?.trim().parse().ok()
    }

    /// Where installed packages are.
    #[must_use]
    pub fn packages(&self) -> PathBuf {
        self.root.join("packages")
    }

    /// The path itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The directory of a run's files.
    #[must_use]
    pub fn run(&self, run: RunId) -> PathBuf {
        self.root.join("runs").join(run.to_string())
    }

    /// The directory of all runs' files.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The directory of notes on outputs that are still to be stored. It may not exist.
    #[must_use]
    pub(crate) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Those notes.
    pub(crate) fn pending_uploads(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.uploads()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut notes = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                notes.push(path);
            }
        }
        Ok(notes)
    }

    /// The runs that those notes are about.
    pub(crate) fn runs_with_pending_uploads(&self) -> io::Result<HashSet<RunId>> {
        let run_of = |note: PathBuf| note.file_name()?.to_str()?.split_once('.')?.0.parse().ok();
        Ok(self.pending_uploads()?.into_iter().filter_map(run_of).collect())
    }

    /// Where runners say that there is news.
    #[must_use]
    pub fn notify_socket(&self) -> PathBuf {
        self.root.join("notify.sock")
    }

    /// Where runners ask what only a service can answer.
    #[must_use]
    pub fn courier_socket(&self) -> PathBuf {
        self.root.join("courier.sock")
    }

    /// Who this machine is; made up at the first call.
    ///
    /// # Errors
    /// If the file cannot be read or made, or is not understood.
    pub fn identity(&self) -> io::Result<Identity> {
        if let Some(identity) = self.known_identity()? {
            return Ok(identity);
        }
        let own = facts::machine_id().map(|id| format!("{id}.")).unwrap_or_default();
        let identity = Identity {
            machine: format!("{own}{}", Uuid::new_v4().simple()),
            node: None,
            server: String::new(),
            ca: PathBuf::new(),
            ticket: String::new(),
            url: String::new(),
            url_ca: PathBuf::new(),
            insecure: Some(false),
        };
        self.set_identity(&identity)?;
        Ok(identity)
    }

    /// Who this machine is, if that was made up already.
    ///
    /// # Errors
    /// If the file cannot be read, or is not understood.
    pub fn known_identity(&self) -> io::Result<Option<Identity>> {
        read_json(&self.root.join("node.json"))
    }

    /// Remembers who this machine is.
    ///
    /// # Errors
    /// What the file system says.
    pub fn set_identity(&self, identity: &Identity) -> io::Result<()> {
        replace_file(&self.root, "node.json", &serde_json::to_vec_pretty(identity)?)
    }

    /// Keeps the certificate of an authority, and says where. Files of former ones stay: a registration that fails
    /// leaves what was there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep_authority(&self, pem: &str) -> io::Result<PathBuf> {
        let digest = Sha256::digest(pem.as_bytes());
        let number = digest
            .iter()
            .take(8)
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let name = format!("ca-{number}.pem");
        replace_file(&self.root, &name, pem.as_bytes())?;
        Ok(self.root.join(name))
    }

    /// The file with the node's claims for the bus.
    #[must_use]
    pub fn credentials_file(&self) -> PathBuf {
        self.root.join(CREDENTIALS)
    }

    /// The node's claims for the bus with its key, if it has any.
    ///
    /// # Errors
    /// If the file cannot be read, or is not understood.
    pub fn credentials(&self) -> io::Result<Option<Creds>> {
        let text = match fs::read_to_string(self.credentials_file()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let creds = Creds::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some(creds))
    }

    /// Remembers the node's claims for the bus.
    ///
    /// # Errors
    /// What the file system says.
    pub fn set_credentials(&self, creds: &Creds) -> io::Result<()> {
        replace_file(&self.root, CREDENTIALS, creds.to_text().as_bytes())
    }

    /// The keys whose work is carried out, if any are pinned.
    ///
    /// # Errors
    /// If the file cannot be read, or is not understood.
    pub fn work_keys(&self) -> io::Result<Option<WorkKeys>> {
        read_json(&self.root.join(WORK_KEYS))
    }

    /// Remembers whose work is carried out.
    ///
    /// # Errors
    /// What the file system says.
    pub fn set_work_keys(&self, keys: &WorkKeys) -> io::Result<()> {
        replace_file(&self.root, WORK_KEYS, &serde_json::to_vec_pretty(keys)?)
    }

    /// Believes nobody any more, until the coordinator shows its keys.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_work_keys(&self) -> io::Result<()> {
        match fs::remove_file(self.root.join(WORK_KEYS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Forgets who this machine is.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove_identity(&self) -> io::Result<()> {
        for name in [CREDENTIALS, FORMER, WORK_KEYS, "node.json"] {
            match fs::remove_file(self.root.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Remembers settings that were good.
    ///
    /// # Errors
    /// What the file system says.
    pub fn set_settings(&self, settings: &Settings) -> io::Result<()> {
        replace_file(&self.root, "settings.toml", settings.to_toml().as_bytes())
    }

    /// The settings that were good last; the default ones if there were none.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::load(&self.root.join("settings.toml")).unwrap_or_default()
    }

    /// Writes down what the agent says about itself; it need not survive a power cut.
    ///
    /// # Errors
    /// What the file system says.
    pub fn set_report(&self, report: &Report) -> io::Result<()> {
        let draft = self.root.join("status.json.new");
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(report)?)?;
        fs::rename(&draft, self.root.join("status.json"))
    }

    /// What the agent said about itself last; nothing if it never ran here.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        serde_json::from_slice(&fs::read(self.root.join("status.json")).ok()?).ok()
    }
}

/// Writes a file for the owner only so that it is either the old one or the new one, whatever happens; when this returns
/// the new one survives a power cut.
pub(crate) fn replace_file(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let (path, draft) = (directory.join(name), directory.join(format!("{name}.new")));
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    File::open(directory)?.sync_all()
}

/// A JSON file's content; nothing if it is not there.
pub(crate) fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a lock, which lasts as long as the file is open. `None`: another process has it.
pub(crate) fn take_lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes a directory and those above it, for the owner only.
pub(crate) fn make_private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::at(root.path());
        state.prepare().unwrap();
        let mut identity = state.identity().unwrap();
        assert_eq!(identity.node, None);
        identity.node = Some(NodeId::random());
        state.set_identity(&identity).unwrap();
        assert_eq!(StateDir::at(root.path()).identity().unwrap(), identity);
    }

    #[test]
    fn a_directory_has_one_agent() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::at(root.path());
        state.prepare().unwrap();
        let held = state.occupy().unwrap();
        assert!(held.is_some());
        assert!(state.occupy().unwrap().is_none());
        drop(held);
        assert!(state.occupy().unwrap().is_some());
    }

    #[test]
    fn settings_that_were_good_are_found_again() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::at(root.path());
        state.prepare().unwrap();
        assert_eq!(state.settings(), Settings::default());
        let settings = Settings {
            concurrency: 9,
            ..Settings::default()
        };
        state.set_settings(&settings).unwrap();
        assert_eq!(state.settings(), settings);
    }
}
