//! What is installed on this machine, remembered so that an interrupted change is noticed.
//!
//! ```text
//! packages/<name>/state.json   which version, and in the middle of what
//! packages/<name>/versions/…  the files of a version each
//! packages/<name>/lock         held while the package is changed
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::state::{make_private_directory, read_json, replace_file, take_lock};

/// A package on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The version that is there, or on its way in or out.
    pub version: String,
    /// How far that has come.
    pub phase: Phase,
    /// The version that was there before the change that is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

/// How far a change of a package has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Its install script ended well.
    Installed,
    /// Its install script was started.
    Installing,
    /// Its update script was started.
    Updating,
    /// Its uninstall script was started.
    Uninstalling,
    /// Its install or update script failed.
    Failed,
}

/// The place of one package.
#[derive(Debug, Clone)]
pub struct Shelf {
    root: PathBuf,
}

impl Shelf {
    /// The place of the package `name`, which must be a plain name, below `packages`.
    #[must_use]
    pub fn at(packages: &Path, name: &str) -> Self {
        Self {
            root: packages.join(name),
        }
    }

    /// The directory of a version's files.
    #[must_use]
    pub fn version(&self, version: &str) -> PathBuf {
        self.root.join("versions").join(version)
    }

    /// Takes the package for a change. `None`: somebody else is changing it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn lock(&self) -> io::Result<Option<File>> {
        make_private_directory(&self.root.join("versions"))?;
        take_lock(&self.root.join("lock"))
    }

    /// What is installed.
    ///
    /// # Errors
    /// If the file cannot be read or is not understood.
    pub fn read(&self) -> io::Result<Option<Installed>> {
        read_json(&self.root.join("state.json"))
    }

    /// Remembers what is installed; it survives a power cut when this returns.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, installed: &Installed) -> io::Result<()> {
        replace_file(&self.root, "state.json", &serde_json::to_vec_pretty(installed)?)
    }

    /// Forgets the package; its files go too.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_file(self.root.join("state.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.keep_only(&[])
    }

    /// Removes the files of all versions but these.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep_only(&self, versions: &[&str]) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join("versions"))? {
            let entry = entry?;
            let is_kept = versions.iter().any(|version| entry.file_name() == *version);
            if !is_kept {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_remembered_and_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(root.path(), "tool");
        let held = shelf.lock().unwrap();
        assert!(held.is_some() && shelf.lock().unwrap().is_none());
        assert_eq!(shelf.read().unwrap(), None);
        let installed = Installed {
            version: "1.0".into(),
            phase: Phase::Installing,
            previous: Some("0.9".into()),
        };
        shelf.write(&installed).unwrap();
        assert_eq!(shelf.read().unwrap(), Some(installed));
        for version in ["0.9", "1.0"] {
            fs::create_dir(shelf.version(version)).unwrap();
        }
        shelf.keep_only(&["1.0"]).unwrap();
        assert!(!shelf.version("0.9").exists() && shelf.version("1.0").exists());
        shelf.clear().unwrap();
        assert_eq!(shelf.read().unwrap(), None);
        assert!(!shelf.version("1.0").exists());
    }
}
