//! A folder that we write into without following a link that somebody put there: a repository, or an earlier step.
//!
//! The folder itself is opened as its author names it. Below it everything is made relative to what was opened before,
//! and a link in the way is removed.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, renameat, statat, symlinkat, unlinkat};
use rustix::io::Errno;

use crate::state::make_private_directory;

/// An open folder.
#[derive(Debug)]
pub(super) struct Ground(OwnedFd);

impl Ground {
    /// Opens a folder by the path that it was given by; it is made, for the owner only, if it is not there.
    pub(super) fn open(base: &Path) -> io::Result<Self> {
        make_private_directory(base)?;
        Ok(Self(openat(CWD, base, FOLDER, Mode::empty())?))
    }

    /// Goes to a folder below, through folders only, and makes those that are missing.
    pub(super) fn descend(self, way: &Path) -> io::Result<Self> {
        way.components().try_fold(self, |above, part| match part {
            Component::Normal(name) => above.enter(name),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        })
    }

    /// The folder of this name in it, made if it is not there or if a link is in its place.
    pub(super) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        if self.kind(name)? == Some(FileType::Symlink) {
            self.clear(name)?;
        }
        match mkdirat(&self.0, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let below = openat(&self.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Self(below))
    }

    /// A new file, for the owner only, in place of a file or a link of this name.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        self.clear(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.0, name, flags, Mode::RWXU)?.into())
    }

    /// A link, in place of a file or a link of this name.
    pub(super) fn link(&self, name: &OsStr, target: &Path) -> io::Result<()> {
        self.clear(name)?;
        Ok(symlinkat(target, &self.0, name)?)
    }

    /// Gives a file another name within the folder, in place of a file or a link of that name.
    pub(super) fn rename(&self, name: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.0, name, &self.0, to)?)
    }

    /// Removes a file or a link, if there is one; a folder is left, whatever is made in its place fails.
    pub(super) fn clear(&self, name: &OsStr) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a folder of this name is in it.
    pub(super) fn has_folder(&self, name: &OsStr) -> io::Result<bool> {
        Ok(self.kind(name)? == Some(FileType::Directory))
    }

    fn kind(&self, name: &OsStr) -> io::Result<Option<FileType>> {
        match statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) => Ok(Some(FileType::from_raw_mode(about.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_replaced_by_what_is_made_and_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (base, elsewhere) = (dir.path().join("base"), dir.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), "old").unwrap();
        let ground = || Ground::open(&base).unwrap();
        ground();
        symlink(&elsewhere, base.join("x")).unwrap();
        symlink(elsewhere.join("precious"), base.join("f")).unwrap();
        symlink(elsewhere.join("precious"), base.join("l")).unwrap();

        ground()
            .descend(Path::new("x/y"))
            .unwrap()
            .create("f".as_ref())
            .unwrap();
        ground().create("f".as_ref()).unwrap();
        ground().link("l".as_ref(), Path::new("f")).unwrap();
        assert!(base.join("x/y/f").is_file());
        assert!(!base.join("x").is_symlink() && !base.join("f").is_symlink());
        assert_eq!(fs::read_link(base.join("l")).unwrap(), Path::new("f"));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1, "nothing was made there");
        assert_eq!(fs::read_to_string(elsewhere.join("precious")).unwrap(), "old");

        assert!(ground().descend(Path::new("f/x")).is_err(), "a file is no folder");
        assert!(ground().create("x".as_ref()).is_err(), "a folder stays");
        assert!(ground().descend(Path::new("../x")).is_err());
    }
}
