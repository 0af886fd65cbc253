//! Where a download goes.
//!
//! `destinationPath` is absolute, or relative to the run's downloads directory, which it cannot leave.
//! One file goes into it if it is a folder or ends with a slash, and otherwise becomes it; a folder's content goes into it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use super::too_large;
use crate::state::make_private_directory;

/// A destination that may be written to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    /// Whether one file goes into it rather than becoming it.
    is_folder: bool,
}

impl Place {
    /// Finds the place that the input names.
    pub(super) fn find(downloads: &Path, input: Option<&str>) -> Result<Self, String> {
        let input = input.unwrap_or_default();
        let given = Path::new(input);
        if given.components().any(|part| part == Component::ParentDir) {
            return Err(format!("the destination {input:?} has \"..\" in it"));
        }
        if given.is_relative() {
            make_private_directory(downloads)
                .map_err(|error| format!("cannot make the downloads directory: {error}"))?;
        }
        let path = downloads.join(given);
        if given.is_relative() && !stays_below(&path, downloads) {
            return Err(format!(
                "the destination {input:?} leaves the run's downloads directory"
            ));
        }
        Ok(Self {
            is_folder: input.is_empty() || input.ends_with('/') || path.is_dir(),
            path,
        })
    }

    /// Where one file with this name of its own goes.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        match self.is_folder {
            true => self.path.join(name),
            false => self.path.clone(),
        }
    }

    /// Where a file of a folder goes; `relative` is its path in there.
    pub(super) fn inner(&self, relative: &str) -> Result<PathBuf, String> {
        let relative = Path::new(relative);
        let is_inner = relative.components().all(|part| matches!(part, Component::Normal(_)));
        match is_inner && relative.components().next().is_some() {
            true => Ok(self.path.join(relative)),
            false => Err(format!("{relative:?} is no path within a folder")),
        }
    }

    /// Where the content of a folder goes.
    pub(super) fn folder(&self) -> &Path {
        &self.path
    }
}

/// Whether the part of a path that exists, links followed, lies below `base`.
fn stays_below(path: &Path, base: &Path) -> bool {
    let Ok(base) = base.canonicalize() else { return false };
    path.ancestors()
        .find_map(|ancestor| ancestor.canonicalize().ok())
        .is_some_and(|real| real.starts_with(base))
}

/// A file that appears under its name only when it is complete.
#[derive(Debug)]
pub(super) struct Draft {
    target: PathBuf,
    path: PathBuf,
    file: File,
    written: u64,
    limit: u64,
}

impl Draft {
    /// Begins a file of at most `limit` bytes, and the folders above it.
    pub(super) fn begin(target: PathBuf, limit: u64) -> Result<Self, String> {
        if target.is_dir() {
            return Err(format!("{target:?} is a folder"));
        }
        let name = target
            .file_name()
            .ok_or_else(|| format!("{target:?} is no file's name"))?;
        let mut draft = std::ffi::OsString::from(".");
        draft.push(name);
        draft.push(".part");
        let path = target.with_file_name(draft);
        let open = || {
            if let Some(folder) = target.parent() {
                make_private_directory(folder)?;
            }
            File::options()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o700)
                .open(&path)
        };
        let file = open().map_err(|error| format!("cannot write {target:?}: {error}"))?;
        Ok(Self {
            target,
            path,
            file,
            written: 0,
            limit,
        })
    }

    /// Adds the next piece.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), String> {
        self.written += piece.len() as u64;
        if self.written > self.limit {
            return Err(too_large(self.limit));
        }
        self.file
            .write_all(piece)
            .map_err(|error| format!("cannot write {:?}: {error}", self.target))
    }

    /// Gives the file its name; its length.
    pub(super) fn finish(self) -> Result<u64, String> {
        fs::rename(&self.path, &self.target).map_err(|error| format!("cannot write {:?}: {error}", self.target))?;
        Ok(self.written)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After `finish` there is nothing under this name.
        let _ = fs::remove_file(&self.path);
    }
}

/// Bytes of a file, or of all files of a folder but those of git's own.
pub(super) fn measure(path: &Path) -> io::Result<u64> {
    let about = fs::symlink_metadata(path)?;
    if !about.is_dir() {
        return Ok(about.len());
    }
    let mut bytes = 0;
    for entry in content(path)? {
        bytes += measure(&entry)?;
    }
    Ok(bytes)
}

/// Copies a folder's content into another, or a file over another; the number of files.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let about = fs::symlink_metadata(from)?;
    if about.is_dir() {
        make_private_directory(to)?;
        let mut files = 0;
        for entry in content(from)? {
            if let Some(name) = entry.file_name() {
                files += copy(&entry, &to.join(name))?;
            }
        }
        return Ok(files);
    }
    if let Some(folder) = to.parent() {
        make_private_directory(folder)?;
    }
    // A link at the target is replaced, not followed.
    if fs::symlink_metadata(to).is_ok_and(|there| !there.is_dir()) {
        fs::remove_file(to)?;
    }
    if about.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else {
        fs::copy(from, to)?;
        fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    }
    Ok(1)
}

/// What is in a folder but git's own folder.
fn content(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != ".git" {
            entries.push(entry.path());
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_absolute_or_below_the_downloads() {
        let dir = tempfile::tempdir().unwrap();
        let downloads = dir.path().join("downloads");
        let find = |input: &str| Place::find(&downloads, Some(input));
        assert_eq!(find("").unwrap().file("a.sh"), downloads.join("a.sh"));
        assert_eq!(find("sub/").unwrap().file("a.sh"), downloads.join("sub/a.sh"));
        assert_eq!(find("b.sh").unwrap().file("a.sh"), downloads.join("b.sh"));
        fs::create_dir_all(downloads.join("there")).unwrap();
        assert_eq!(find("there").unwrap().file("a.sh"), downloads.join("there/a.sh"));
        let absolute = dir.path().join("abs");
        assert_eq!(find(absolute.to_str().unwrap()).unwrap().file("a"), absolute);

        for bad in ["..", "a/../../b", "/tmp/../etc"] {
            assert!(find(bad).unwrap_err().contains("\"..\""), "{bad}");
        }
        symlink("/", downloads.join("out")).unwrap();
        assert!(find("out/x").unwrap_err().contains("leaves"));
    }

    #[test]
    fn a_file_within_a_folder_stays_there() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::find(dir.path(), None).unwrap();
        assert_eq!(place.inner("a/b").unwrap(), dir.path().join("a/b"));
        for bad in ["", "/a", "../a", "a/../b", "."] {
            assert!(place.inner(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_draft_appears_when_it_is_complete_and_not_when_it_is_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("sub/x");
        let mut draft = Draft::begin(target.clone(), 10).unwrap();
        draft.write(b"12345").unwrap();
        assert!(!target.exists());
        assert!(draft.write(b"678901").unwrap_err().contains("larger"));
        drop(draft);
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 0);

        let mut draft = Draft::begin(target.clone(), 10).unwrap();
        draft.write(b"whole").unwrap();
        assert_eq!(draft.finish().unwrap(), 5);
        assert_eq!(fs::read(&target).unwrap(), b"whole");
    }

    #[test]
    fn a_copy_has_no_git_folder_and_follows_no_link_at_the_target() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for (file, text) in [(".git/config", "x"), ("a/run.sh", "12"), ("b", "3")] {
            let path = from.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(&to).unwrap();
        fs::write(dir.path().join("precious"), "old").unwrap();
        symlink(dir.path().join("precious"), to.join("b")).unwrap();
        assert_eq!(measure(&from).unwrap(), 3);
        assert_eq!(copy(&from, &to).unwrap(), 2);
        assert!(!to.join(".git").exists());
        assert_eq!(fs::read_to_string(to.join("b")).unwrap(), "3");
        assert_eq!(fs::read_to_string(dir.path().join("precious")).unwrap(), "old");
    }
}
