//! The data directory.
//!
//! ```text
//! lock                 held while a `muster up` runs here; holds its process id
//! ready.json           how it can be reached; there while it is
//! trust/               who may do what on the bus: keys and credentials, see `trust`
//! nats/                settings, ports, accounts and the JetStream store of the NATS server
//! services/<name>.db   the tables of a service
//! access.key           the keys that encrypt the secrets of access keys
//! agents/<name>/       the state of a local agent
//! agents/agents.toml   the configuration of all local agents; made once, yours afterwards
//! objects/<bucket>/    complete outputs, where commands ask for them
//! log-streams/…        outputs as they are written, where commands ask for log streams
//! logs/                muster.log (all services) and <agent>.log as JSON lines, nats.log as the server writes it
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::UpError;
use crate::trust::TrustFolder;

/// A log that is longer than this when `muster up` starts becomes `<name>.log.old`.
const LONGEST_LOG: u64 = 16 * 1024 * 1024;

/// A data directory that is ours as long as this exists.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    #[expect(dead_code, reason = "held for its lock")]
    lock: File,
}

impl Folder {
    /// Makes the directory if need be and takes it for this process.
    pub(super) fn take(root: &Path) -> Result<Self, UpError> {
        let unusable = |source| UpError::Folder {
            path: root.to_owned(),
            source,
        };
        for part in ["nats", "services", "agents", "objects", "logs"] {
            // What scripts write and read is the owner's business.
            let made = DirBuilder::new().recursive(true).mode(0o700).create(root.join(part));
            made.map_err(unusable)?;
        }
        let root = fs::canonicalize(root).map_err(unusable)?;
        let lock = Self::lock(&root)?;
        Ok(Self { root, lock })
    }

    fn lock(root: &Path) -> Result<File, UpError> {
        let path = root.join("lock");
        let open = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path);
        let failed = |source| UpError::Folder {
            path: path.clone(),
            source,
        };
        let mut file = open.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                let sign = |file: &mut File| -> io::Result<()> {
                    file.set_len(0)?;
                    file.rewind()?;
                    write!(file, "{}", std::process::id())
                };
                sign(&mut file).map_err(failed)?;
                Ok(file)
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let process = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                Err(UpError::InUse {
                    path: root.to_owned(),
                    process,
                })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn nats(&self) -> PathBuf {
        self.root.join("nats")
    }

    pub(super) fn trust(&self) -> TrustFolder {
        TrustFolder::at(&self.root.join("trust"))
    }

    pub(super) fn database(&self, service: &str) -> PathBuf {
        self.root.join("services").join(format!("{service}.db"))
    }

    pub(super) fn agent(&self, name: &str) -> PathBuf {
        self.root.join("agents").join(name)
    }

    /// The configuration of all local agents: it says where complete outputs go. One that is there stays as it is.
    pub(super) fn agents_config(&self) -> Result<PathBuf, UpError> {
        let path = self.root.join("agents").join("agents.toml");
        let text = format!("[objects]\nurl = {:?}\n", self.objects_url());
        match File::options().create_new(true).write(true).mode(0o600).open(&path) {
            Ok(mut file) => file.write_all(text.as_bytes()).map(|()| path.clone()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(path.clone()),
            Err(error) => Err(error),
        }
        .map_err(|source| UpError::Folder { path, source })
    }

    /// Where complete outputs go, as a URL.
    pub(super) fn objects_url(&self) -> String {
        format!("file://{}", self.root.join("objects").display())
    }

    /// Where log streams are kept.
    pub(super) fn log_streams(&self) -> PathBuf {
        self.root.join("log-streams")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// A log, to be written at its end.
    pub(super) fn log(&self, name: &str) -> Result<(PathBuf, File), UpError> {
        let path = self.logs().join(format!("{name}.log"));
        let failed = |source| UpError::Folder {
            path: path.clone(),
            source,
        };
        if fs::metadata(&path).is_ok_and(|log| log.len() > LONGEST_LOG) {
            fs::rename(&path, path.with_extension("log.old")).map_err(failed)?;
        }
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        Ok((path, file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_owner_and_says_who_it_is() {
        let root = tempfile::tempdir().unwrap();
        let held = Folder::take(&root.path().join("data")).unwrap();
        let refused = Folder::take(&root.path().join("data")).unwrap_err();
        let line = refused.to_string();
        let own = std::process::id().to_string();
        assert!(line.contains(&own) && line.contains("data"), "{line}");
        assert!(refused.hint().is_some_and(|hint| hint.contains("--data-dir")));
        drop(held);
        Folder::take(&root.path().join("data")).unwrap();
    }

    #[test]
    fn a_long_log_makes_room_for_a_new_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::take(root.path()).unwrap();
        let (path, file) = folder.log("nats").unwrap();
        file.set_len(LONGEST_LOG).unwrap();
        folder.log("nats").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), LONGEST_LOG);
        file.set_len(LONGEST_LOG + 1).unwrap();
        folder.log("nats").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert!(path.with_extension("log.old").is_file());
    }
}
