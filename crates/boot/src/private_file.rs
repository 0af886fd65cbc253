//! Files with secrets are for their owner alone: what others can read is not used, whoever made it so.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a file with a secret is not used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It is not there, or is not for us.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no secret.
    #[error("{} can be read by others (mode {mode:03o}): chmod 600 it", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// The text of a file that only its owner can read.
///
/// # Errors
/// If it cannot be read, or others than its owner can read it.
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, PrivateFileError> {
    let unread = |source| PrivateFileError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unread)?;
    // Of the file that was opened, not of one that took its place.
    let mode = file.metadata().map_err(unread)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(PrivateFileError::Open { path, mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(unread)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use muster_harness::Folder;

    use super::*;

    #[test]
    fn what_others_can_read_is_not_used() {
        let folder = Folder::new("private-file");
        let path = folder.join("secret");
        assert!(matches!(read_private(&path), Err(PrivateFileError::Read { .. })));
        write(&path, "seed").unwrap();
        for (mode, is_used) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            match read_private(&path) {
                Ok(text) => assert!(is_used && *text == "seed", "{mode:o}"),
                Err(error) => assert!(!is_used && error.to_string().contains("chmod 600"), "{error}"),
            }
        }
    }
}
