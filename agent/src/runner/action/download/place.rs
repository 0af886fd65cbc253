//! Where a download goes.
//!
//! `destinationPath` is absolute, or relative to the run's downloads directory, which it cannot leave.
//! One file goes into it if it is a folder or ends with a slash, and otherwise becomes it; a folder's content goes into it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use super::ground::Ground;
use super::too_large;
use crate::state::make_private_directory;

/// A destination that may be written to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Below it no link is followed.
    base: PathBuf,
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
        let is_folder = input.is_empty() || input.ends_with('/') || path.is_dir();
        let base = match path.parent() {
            _ if given.is_relative() => downloads.to_owned(),
            Some(above) if !is_folder => above.to_owned(),
            _ => path.clone(),
        };
        Ok(Self {
            is_folder,
            base,
            path,
            destination: None,
        })
    }

    /// A place of the same kind in a folder of ours, from where somebody else takes it to this one.
    pub(super) fn staged(self, folder: &Path) -> Self {
        Self {
            base: folder.to_owned(),
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

    /// The folder where `target`, one of the above, is reached from, and the way from there.
    pub(super) fn ground<'t>(&self, target: &'t Path) -> io::Result<(Ground, &'t Path)> {
        let way = target.strip_prefix(&self.base);
        let way = way.map_err(|_| io::Error::other(format!("{target:?} is not below {:?}", self.base)))?;
        Ok((Ground::open(&self.base)?, way))
    }

    /// The folder that the file `target` lies in, made if it is not there, and its name.
    pub(super) fn spot(&self, target: &Path) -> io::Result<(Ground, OsString)> {
        let (ground, way) = self.ground(target)?;
        let name = way.file_name();
        let name = name.ok_or_else(|| io::Error::other(format!("{target:?} is no file's name")))?;
        let ground = ground.descend(way.parent().unwrap_or(Path::new("")))?;
        Ok((ground, name.to_owned()))
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
    ground: Ground,
    name: OsString,
    draft: OsString,
    file: File,
    written: u64,
    limit: u64,
}

impl Draft {
    /// Begins the file `target` of a place, of at most `limit` bytes, and the folders above it.
    pub(super) fn begin(place: &Place, target: PathBuf, limit: u64) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot write {target:?}: {error}");
        let (ground, name) = place.spot(&target).map_err(failed)?;
        if ground.has_folder(&name).map_err(failed)? {
            return Err(format!("{target:?} is a folder"));
        }
        let draft: OsString = [OsStr::new("."), &name, OsStr::new(".part")].into_iter().collect();
        let file = ground.create(&draft).map_err(failed)?;
        Ok(Self {
            target,
            ground,
            name,
            draft,
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
        self.ground
            .rename(&self.draft, &self.name)
            .map_err(|error| format!("cannot write {:?}: {error}", self.target))?;
        Ok(self.written)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After `finish` there is nothing under this name.
        let _ = self.ground.clear(&self.draft);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
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
        let place = Place::find(dir.path(), Some("sub/x")).unwrap();
        let target = place.file("y");
        let mut draft = Draft::begin(&place, target.clone(), 10).unwrap();
        draft.write(b"12345").unwrap();
        assert!(!target.exists());
        assert!(draft.write(b"678901").unwrap_err().contains("larger"));
        drop(draft);
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 0);

        let mut draft = Draft::begin(&place, target.clone(), 10).unwrap();
        draft.write(b"whole").unwrap();
        assert_eq!(draft.finish().unwrap(), 5);
        assert_eq!(fs::read(&target).unwrap(), b"whole");
    }

    #[test]
    fn links_that_an_earlier_download_left_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (downloads, elsewhere) = (dir.path().join("downloads"), dir.path().join("elsewhere"));
        for folder in [&downloads, &elsewhere] {
            fs::create_dir(folder).unwrap();
        }
        symlink(&elsewhere, downloads.join("x")).unwrap();
        symlink(elsewhere.join("evil"), downloads.join(".evil.part")).unwrap();
        let save = |target: &dyn Fn(&Place) -> PathBuf| {
            let place = Place::find(&downloads, Some("")).unwrap();
            let mut draft = Draft::begin(&place, target(&place), 10).unwrap();
            draft.write(b"mine").unwrap();
            draft.finish().unwrap();
        };
        save(&|place| place.inner("x/evil").unwrap());
        save(&|place| place.file("evil"));
        assert_eq!(
            fs::read_dir(&elsewhere).unwrap().count(),
            0,
            "nothing was written there"
        );
        for file in ["x/evil", "evil"] {
            assert_eq!(fs::read(downloads.join(file)).unwrap(), b"mine", "{file}");
        }
    }
}
