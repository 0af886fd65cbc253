//! The provider that is there without anything else: a file with keys.
//!
//! One key a line: `<key> <version> <32 bytes as Base64>`. Of the versions of a key the first line wraps, all unwrap.
//! Whoever wants a new version puts it above the others and keeps these until nothing is wrapped with them any more.
//! The file is read at the start, and again when something is wrapped with a version that it did not hold then: another
//! replica was given a new one first.
//! The key `aws/ssm` is the one for SecureStrings that name none. The file belongs to its owner alone, and it is not in
//! the tables: a copy of these is worth nothing without it, and they are lost without it.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::scope::Scope;
use crate::secret::binding::Binding;
use crate::secret::data_key::{DataKey, OpenError};
use crate::secret::key_id::KeyId;
use crate::secret::provider::{KeyError, KeyName, Provider, Wrapped, Wrapping};

/// Its name in the tables.
pub(crate) const NAME: &str = "file";
/// The key of a new file.
const DEFAULT_KEY: &str = "aws/ssm";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or made.
    #[error("the key file {} cannot be used", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may read it.
    #[error("the key file {} can be read by others (mode {mode:03o}): chmod 600 it", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("the key file {} belongs to user {owner}, and this service is user {us}: chown it", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// It holds something else.
    #[error("the key file {} holds no key in line {line}: a key, its version and 32 bytes as Base64 are expected, with blanks between", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// Two lines are about the same.
    #[error("the key file {} holds version {version} of the key {key} twice: each version is another key", .path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its version.
        version: String,
    },
    /// A version is another key than it was when the file was read before.
    #[error("the key file {} holds another key as version {version} of the key {key} than it did: put the line back", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its version.
        version: String,
    },
    /// The tables need it and it is not there.
    #[error("the key file {} is missing, and the tables hold SecureStrings whose keys are in it: put it back", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The tables need a key that it does not hold.
    #[error("the key file {} does not hold version {version} of the key {key}, which {count} SecureStrings need: put the line back", .path.display())]
    Lacks {
        /// The file.
        path: PathBuf,
        /// The key that is needed.
        key: String,
        /// Its version.
        version: String,
        /// How many versions of parameters need it.
        count: i64,
    },
}

/// A line.
#[derive(Clone, Debug)]
struct Line {
    key: String,
    version: String,
    bytes: DataKey,
}

/// The lines of a file, in its order.
#[derive(Clone, Debug)]
struct Lines(Vec<Line>);

impl Lines {
    fn find(&self, key: &str, version: &str) -> Option<&Line> {
        self.0.iter().find(|line| line.key == key && line.version == version)
    }

    /// The version of a key that wraps.
    fn current(&self, key: &str) -> Option<&Line> {
        self.0.iter().find(|line| line.key == key)
    }

    /// These lines, and below them those of an older reading that are not among them: what was taken out may still be
    /// needed, which the next start finds out. Gives the line that is another key than it was, if there is one.
    fn above(mut self, older: &Self) -> Result<Self, Line> {
        let mut gone = Vec::new();
        for line in &older.0 {
            match self.find(&line.key, &line.version) {
                Some(same) if same.bytes.bytes() == line.bytes.bytes() => {}
                Some(_) => return Err(line.clone()),
                None => gone.push(line.clone()),
            }
        }
        self.0.extend(gone);
        Ok(self)
    }
}

/// All keys of the file.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    scope: Scope,
    /// As they were read last; replaced as a whole.
    lines: RwLock<Arc<Lines>>,
}

impl KeyFile {
    /// The keys of a file; makes the file if nothing is wrapped yet. `needed` are the keys that the tables name, with
    /// the count of versions that need them.
    pub(crate) fn load(path: &Path, scope: Scope, needed: &[(KeyName, i64)]) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Io {
            path: path.to_owned(),
            source,
        };
        let needed = || needed.iter().filter(|(key, _)| key.provider == NAME);
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if needed().next().is_some() {
                    return Err(KeyFileError::Missing { path: path.to_owned() });
                }
                make(path).map_err(failed)?;
                tracing::warn!(
                    file = %path.display(),
                    "A NEW KEY FILE WAS MADE. Keep a copy of it in another place than the backups of the tables: \
                     without it every SecureString is lost"
                );
                File::open(path)
            }
            opened => opened,
        };
        let lines = read(path, file.map_err(failed)?)?;
        match needed().find(|(name, _)| lines.find(&name.id, &name.version).is_none()) {
            Some((name, count)) => Err(KeyFileError::Lacks {
                path: path.to_owned(),
                key: name.id.clone(),
                version: name.version.clone(),
                count: *count,
            }),
            None => Ok(Self {
                path: path.to_owned(),
                scope,
                lines: RwLock::new(Arc::new(lines)),
            }),
        }
    }

    fn lines(&self) -> Arc<Lines> {
        Arc::clone(&self.lines.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The lines, read again if this version is not among them.
    fn lines_with(&self, key: &str, version: &str) -> Arc<Lines> {
        self.lines_where(key, Some(version))
    }

    /// The lines, read again if this key, or this version of it, is not among them.
    fn lines_where(&self, key: &str, version: Option<&str>) -> Arc<Lines> {
        let is_there = |lines: &Lines| match version {
            Some(version) => lines.find(key, version).is_some(),
            None => lines.current(key).is_some(),
        };
        let lines = self.lines();
        if is_there(&lines) {
            return lines;
        }
        match self.read_again() {
            Ok(lines) => {
                if is_there(&lines) {
                    tracing::info!(file = %self.path.display(), key, version, "the key file was read again: it has a new key");
                }
                lines
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    key,
                    version,
                    "a key is not known, and the key file cannot be read again"
                );
                lines
            }
        }
    }

    fn read_again(&self) -> Result<Arc<Lines>, KeyFileError> {
        let mut held = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        let file = File::open(&self.path).map_err(|source| KeyFileError::Io {
            path: self.path.clone(),
            source,
        })?;
        let lines = read(&self.path, file)?
            .above(&held)
            .map_err(|line| KeyFileError::Changed {
                path: self.path.clone(),
                key: line.key,
                version: line.version,
            })?;
        *held = Arc::new(lines);
        Ok(Arc::clone(&held))
    }
}

#[tonic::async_trait]
impl Provider for KeyFile {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn wrap(&self, key_id: &str, _arn: &str, _data_key: &DataKey) -> Result<Wrapping, KeyError> {
        let named = KeyId::parse(key_id, &self.scope);
        let lines;
        let line = match &named {
            // Keys of a file have one name: an alias is the key of that name.
            KeyId::Alias(key) | KeyId::Key(key) => {
                lines = self.lines_where(key, None);
                lines.current(key)
            }
            KeyId::Foreign(_) => None,
        };
        let line = line.ok_or_else(|| KeyError::Unusable(named.not_found(&self.scope)))?;
        Ok(Wrapping::Here {
            key: KeyName {
                provider: NAME.to_owned(),
                id: line.key.clone(),
                version: line.version.clone(),
            },
            with: line.bytes.clone(),
        })
    }

    async fn unwrap(&self, wrapped: &Wrapped, binding: &Binding<'_>) -> Result<DataKey, KeyError> {
        let KeyName { id, version, .. } = &wrapped.key;
        let missing = || KeyError::Unusable(KeyId::Key(id.clone()).not_found(&self.scope));
        let lines = self.lines_with(id, version);
        let line = lines.find(id, version).ok_or_else(missing)?;
        let bytes = line.bytes.decrypt(&binding.bytes(), &wrapped.bytes)?;
        Ok(DataKey::from_bytes(&bytes).ok_or(OpenError)?)
    }

    async fn is_current(&self, key: &KeyName) -> Result<bool, KeyError> {
        let lines = self.lines_with(&key.id, &key.version);
        Ok(lines.current(&key.id).is_some_and(|line| line.version == key.version))
    }
}

fn read(path: &Path, mut file: File) -> Result<Lines, KeyFileError> {
    let failed = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(KeyFileError::Open { path, mode });
    }
    if let Some(us) = effective_user()
        && metadata.uid() != us
    {
        let (path, owner) = (path.to_owned(), metadata.uid());
        return Err(KeyFileError::Owner { path, owner, us });
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(failed)?;
    let mut lines: Vec<Line> = Vec::new();
    for (number, written) in text.lines().enumerate() {
        if written.trim().is_empty() || written.starts_with('#') {
            continue;
        }
        let line = line(written).ok_or_else(|| KeyFileError::Malformed {
            path: path.to_owned(),
            line: number + 1,
        })?;
        if lines
            .iter()
            .any(|other| (&other.key, &other.version) == (&line.key, &line.version))
        {
            return Err(KeyFileError::Twice {
                path: path.to_owned(),
                key: line.key,
                version: line.version,
            });
        }
        lines.push(line);
    }
    Ok(Lines(lines))
}

/// Who we are, as the kernel says; nobody where there is no such file.
fn effective_user() -> Option<u32> {
    Some(fs::metadata("/proc/self").ok()?.uid())
}

fn line(text: &str) -> Option<Line> {
    let mut words = text.split_whitespace();
    let (key, version, bytes) = (words.next()?, words.next()?, words.next()?);
    let is_name = |text: &str, others: &[u8]| text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b));
    if words.next().is_some() || !is_name(key, b"/_-") || !is_name(version, b"-") {
        return None;
    }
    let bytes = Zeroizing::new(STANDARD.decode(bytes).ok()?);
    Some(Line {
        key: key.to_owned(),
        version: version.to_owned(),
        bytes: DataKey::from_bytes(&bytes)?,
    })
}

/// Makes the file with a new key: whole or not at all, and never over one that is there.
fn make(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let draft = folder.join(format!(".parameter-store-key-{}", uuid::Uuid::new_v4().simple()));
    let made = write(&draft).and_then(|()| match fs::hard_link(&draft, path) {
        // Another replica was faster: its key is ours.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&draft);
    made?;
    removed?;
    File::open(folder)?.sync_all()
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(path)?;
    let key = DataKey::random();
    let version: [u8; 4] = rand::random();
    let bytes = Zeroizing::new(STANDARD.encode(key.bytes()));
    let line = Zeroizing::new(format!("{DEFAULT_KEY} {} {}\n", hex::encode(version), bytes.as_str()));
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
