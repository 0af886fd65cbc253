//! The file whose keys encrypt the secrets of access keys and seal the audit log.
//!
//! One key a line, `<key id> <32 bytes as Base64>`; the first encrypts, all decrypt. Whoever wants a new key puts it on
//! top and keeps the others. The file belongs to its owner alone, and it is not in the tables: a copy of these is worth
//! nothing without it.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize as _, Zeroizing};

use crate::domain::secret::{SealError, SealingKey, Secret};

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
    /// It holds something else.
    #[error("the key file {} holds no key in line {line}: a key id, a blank and 32 bytes as Base64 are expected", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// It holds nothing.
    #[error("the key file {} is empty", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The tables need it and it is not there.
    #[error("the key file {} is missing, and what the tables hold was encrypted with its key {key_id}: put it back", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// A key that is needed.
        key_id: String,
    },
    /// The tables need a key that it does not hold.
    #[error("the key file {} does not hold the key {key_id}, with which something in the tables was encrypted: put the line back", .path.display())]
    Lacks {
        /// The file.
        path: PathBuf,
        /// The key that is needed.
        key_id: String,
    },
}

/// All keys of the file.
#[derive(Debug, Clone)]
pub(crate) struct KeyRing {
    /// Never empty; the first encrypts.
    keys: Vec<SealingKey>,
}

impl KeyRing {
    /// The key that encrypts.
    pub(crate) fn current(&self) -> &SealingKey {
        &self.keys[0]
    }

    /// The key of this id.
    pub(crate) fn key(&self, id: &str) -> Option<&SealingKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Decrypts the stored secret of an access key.
    pub(crate) fn open(&self, key_id: &str, access_key_id: &str, sealed: &str) -> Result<Secret, SealError> {
        self.key(key_id).ok_or(SealError)?.open(access_key_id, sealed)
    }

    /// The keys of a file; makes the file if nothing was encrypted yet. `needed` are the keys that the tables name.
    pub(crate) fn load(path: &Path, needed: &[String]) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Io {
            path: path.to_owned(),
            source,
        };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match needed.first() {
                Some(key_id) => {
                    return Err(KeyFileError::Missing {
                        path: path.to_owned(),
                        key_id: key_id.clone(),
                    });
                }
                None => {
                    make(path).map_err(failed)?;
                    File::open(path)
                }
            },
            opened => opened,
        };
        let ring = Self::read(path, file.map_err(failed)?)?;
        match needed.iter().find(|id| ring.key(id).is_none()) {
            Some(key_id) => Err(KeyFileError::Lacks {
                path: path.to_owned(),
                key_id: key_id.clone(),
            }),
            None => Ok(ring),
        }
    }

    fn read(path: &Path, mut file: File) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Io {
            path: path.to_owned(),
            source,
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.to_owned();
            return Err(KeyFileError::Open { path, mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(failed)?;
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let keys: Result<Vec<_>, _> = lines
            .map(|(number, line)| {
                key(line).ok_or_else(|| KeyFileError::Malformed {
                    path: path.to_owned(),
                    line: number + 1,
                })
            })
            .collect();
        let keys = keys?;
        match keys.is_empty() {
            true => Err(KeyFileError::Empty { path: path.to_owned() }),
            false => Ok(Self { keys }),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(keys: Vec<SealingKey>) -> Self {
        Self { keys }
    }
}

fn key(line: &str) -> Option<SealingKey> {
    let (id, text) = line.trim().split_once(' ')?;
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
    let bytes = <[u8; 32]>::try_from(bytes.as_slice()).ok()?;
    Some(SealingKey::new(id.to_owned(), bytes))
}

/// Makes the file with a new key: whole or not at all, and never over one that is there.
fn make(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let draft = folder.join(format!(".access-key-{}", uuid::Uuid::new_v4().simple()));
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
    let mut bytes: [u8; 32] = rand::random();
    let id: [u8; 4] = rand::random();
    let line = Zeroizing::new(format!("{} {}\n", hex::encode(id), STANDARD.encode(bytes)));
    bytes.zeroize();
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "old AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn the_first_start_makes_a_file_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.key");
        let made = KeyRing::load(&path, &[]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = KeyRing::load(&path, std::slice::from_ref(&made.current().id)).unwrap();
        assert_eq!(again.current().bytes(), made.current().bytes());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "the draft is gone");
    }

    #[test]
    fn a_file_that_is_missing_is_not_made_anew_when_something_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.key");
        let refused = KeyRing::load(&path, &["old".to_owned()]).unwrap_err();
        assert!(matches!(refused, KeyFileError::Missing { key_id, .. } if key_id == "old"));
        assert!(!path.exists());
        let (_folder, path) = file(LINE, 0o600);
        let refused = KeyRing::load(&path, &["older".to_owned()]).unwrap_err();
        assert!(matches!(refused, KeyFileError::Lacks { key_id, .. } if key_id == "older"));
    }

    #[test]
    fn a_file_that_others_may_read_or_that_holds_no_keys_is_refused() {
        let check = |text: &str, mode| {
            let (_folder, path) = file(text, mode);
            KeyRing::load(&path, &[])
        };
        assert!(check(LINE, 0o600).is_ok());
        assert!(matches!(
            check(LINE, 0o640),
            Err(KeyFileError::Open { mode: 0o640, .. })
        ));
        assert!(matches!(check("# nothing\n", 0o600), Err(KeyFileError::Empty { .. })));
        let bad = format!("{LINE}new AAAA\n");
        assert!(matches!(
            check(&bad, 0o600),
            Err(KeyFileError::Malformed { line: 2, .. })
        ));
    }

    #[test]
    fn a_new_key_on_top_encrypts_and_the_old_one_still_decrypts() {
        let new = SealingKey::new("new".to_owned(), [1; 32]);
        let old = SealingKey::new("old".to_owned(), [2; 32]);
        let secret = Secret::random();
        let sealed = old.seal("MKIAX", &secret);
        let ring = KeyRing::of(vec![new, old]);
        assert_eq!(ring.current().id, "new");
        assert!(ring.open("old", "MKIAX", &sealed).unwrap().is(&secret));
        assert!(ring.open("new", "MKIAX", &sealed).is_err());
        assert!(ring.open("gone", "MKIAX", &sealed).is_err());
    }
}
