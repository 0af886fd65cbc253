//! Where a download goes.
//!
//! `destinationPath` is absolute, or relative to the run's downloads directory, which it cannot leave.
//! One file goes into it if it is a folder or ends with a slash, and otherwise becomes it; a folder's content goes into it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use super::too_large;
use crate::state::make_private_directory;

/// A destination that may be written to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    /// Whether one file goes into it rather than becoming it.
    is_folder: bool,
    /// Where what is written here goes in the end.
    destination: Option<PathBuf>,
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
            destination: None,
        })
    }

    /// A place of the same kind in a folder of ours, from where somebody else takes it to this one.
    pub(super) fn staged(self, folder: &Path) -> Self {
        Self {
            path: folder.join(self.path.file_name().unwrap_or("content".as_ref())),
            is_folder: self.is_folder,
            destination: Some(self.path),
        }
    }

    /// Where what is written goes in the end, if it does not stay: from, to.
    pub(super) fn onward(&self) -> Option<(&Path, &Path)> {
        Some((&self.path, self.destination.as_deref()?))
    }

    /// What is written, by the name that it has in the end.
    pub(super) fn shown(&self, written: &Path) -> PathBuf {
        match (&self.destination, written.strip_prefix(&self.path)) {
            (Some(end), Ok(rest)) if rest.as_os_str().is_empty() => end.clone(),
            (Some(end), Ok(rest)) => end.join(rest),
            _ => written.to_owned(),
        }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

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
        let staged = find("/srv/app/run.sh").unwrap().staged(dir.path());
        assert_eq!(staged.file("a.sh"), dir.path().join("run.sh"));
        assert_eq!(staged.shown(&staged.file("a.sh")), Path::new("/srv/app/run.sh"));
        let staged = find("/srv/app/").unwrap().staged(dir.path());
        assert_eq!(staged.shown(&staged.file("a.sh")), Path::new("/srv/app/a.sh"));

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
}
