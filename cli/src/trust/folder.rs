//! Files of the folder: private, whole or not there.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use muster_credential::work::ChainError;
use muster_credential::{ClaimsError, Creds, CredsError, KeyError};

use super::certificate::CertificateError;
use super::keys::Chosen;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    #[error("{} cannot be used", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} holds something else already", .path.display())]
    Foreign { path: PathBuf },
    #[error("{} is not there", .path.display())]
    Missing { path: PathBuf },
    #[error("{} may be read by others (mode {mode:o})", .path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("{} is not understood", .path.display())]
    Record {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("{} was begun with other settings: {what}", .path.display())]
    Differs { path: PathBuf, what: String },
    #[error("the key in {} cannot be used", .path.display())]
    Key {
        path: PathBuf,
        #[source]
        source: KeyError,
    },
    #[error("the credentials in {} cannot be used", .path.display())]
    Creds {
        path: PathBuf,
        #[source]
        source: CredsError,
    },
    #[error("{} cannot be used", .path.display())]
    Chain {
        path: PathBuf,
        #[source]
        source: ChainError,
    },
    #[error("claims cannot be signed")]
    Claims(#[from] ClaimsError),
    #[error(transparent)]
    Name(#[from] muster_credential::layout::NameError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl TrustError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Foreign { .. } => "name a folder that is empty or not there",
            Self::Missing { .. } => "make the folder with `muster init FOLDER`",
            Self::Open { .. } => "whoever has read it may be what it names; make new ones, or chmod it to 600",
            Self::Differs { .. } => "say the same as before, or begin in another folder",
            _ => return None,
        })
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct TrustFolder {
    root: PathBuf,
}

impl TrustFolder {
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn creds(&self, user: &str) -> PathBuf {
        self.root.join("creds").join(format!("{user}.creds"))
    }

    pub(crate) fn ticket(&self) -> PathBuf {
        self.root.join("creds").join("boot.ticket")
    }

    pub(crate) fn seed(&self, name: &str) -> PathBuf {
        self.root.join("keys").join(format!("{name}.seed"))
    }

    /// An account that another operator is to sign.
    pub(crate) fn account(&self, name: &str) -> PathBuf {
        self.root.join("accounts").join(format!("{name}.jwt"))
    }

    /// Where the keys are that sign work.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// The key that a service signs its answers to nodes with.
    pub(crate) fn answer_key(&self, service: &str) -> PathBuf {
        self.root.join("answers").join(format!("{service}.key"))
    }

    pub(crate) fn tls(&self, name: &str) -> PathBuf {
        self.root.join("tls").join(name)
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.root.join("nats.conf")
    }

    /// The public key of the account that nodes belong to.
    pub(crate) fn node_account(&self) -> PathBuf {
        self.root.join("nodes.account")
    }

    fn record(&self) -> PathBuf {
        self.root.join("trust.json")
    }

    /// Makes the folder, unless it is somebody else's.
    pub(crate) fn prepare(&self) -> Result<(), TrustError> {
        let is_ours = self.record().exists();
        let is_empty = match fs::read_dir(&self.root) {
            // What a crash left of the very first file is ours too.
            Ok(mut entries) => entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "trust.json.new")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(source) => return Err(self.unusable(&self.root, source)),
        };
        if !is_ours && !is_empty {
            return Err(TrustError::Foreign {
                path: self.root.clone(),
            });
        }
        self.make_folder(&self.root)?;
        // It may have been there, empty and open.
        fs::set_permissions(&self.root, fs::Permissions::from_mode(0o700))
            .map_err(|source| self.unusable(&self.root, source))
    }

    pub(crate) fn make_folder(&self, path: &Path) -> Result<(), TrustError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| self.unusable(path, source))
    }

    /// What was chosen; nothing if the folder was not begun.
    pub(crate) fn chosen(&self) -> Result<Option<Chosen>, TrustError> {
        let path = self.record();
        match self.read(&path)? {
            None => Ok(None),
            Some(text) => match serde_json::from_str(&text) {
                Ok(chosen) => Ok(Some(chosen)),
                Err(source) => Err(TrustError::Record { path, source }),
            },
        }
    }

    pub(crate) fn choose(&self, chosen: &Chosen) -> Result<(), TrustError> {
        let mut text = serde_json::to_string_pretty(chosen).unwrap_or_default();
        text.push('\n');
        self.write(&self.record(), text.as_bytes())
    }

    /// A file's text; nothing if it is not there.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<String>, TrustError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.unusable(path, source)),
        }
    }

    /// A secret's text; nothing if it is not there. One that others may read is none.
    pub(crate) fn read_secret(&self, path: &Path) -> Result<Option<String>, TrustError> {
        let text = self.read(path)?;
        if text.is_some() {
            let facts = fs::metadata(path).map_err(|source| self.unusable(path, source))?;
            let mode = facts.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(TrustError::Open {
                    path: path.to_owned(),
                    mode,
                });
            }
        }
        Ok(text)
    }

    /// A user's credentials; nothing if they are not there.
    pub(crate) fn read_creds(&self, user: &str) -> Result<Option<Creds>, TrustError> {
        let path = self.creds(user);
        match self.read_secret(&path)? {
            None => Ok(None),
            Some(text) => match Creds::parse(&text) {
                Ok(creds) => Ok(Some(creds)),
                Err(source) => Err(TrustError::Creds { path, source }),
            },
        }
    }

    /// Writes a file for the owner only.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<(), TrustError> {
        write_private(path, content).map_err(|source| self.unusable(path, source))
    }

    pub(crate) fn unusable(&self, path: &Path, source: io::Error) -> TrustError {
        TrustError::File {
            path: path.to_owned(),
            source,
        }
    }
}

/// Writes a file for the owner only, whole or not at all; when this returns it survives a power cut.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = folder.join(name);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}
