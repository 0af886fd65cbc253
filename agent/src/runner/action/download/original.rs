//! Copying what somebody else may still be writing to: a clone that lies with the step's user.
//!
//! Everything is opened below what was opened before and links are never followed, so that nothing else can be slipped in
//! between looking and reading.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};

use super::ground::Ground;
use super::place::Place;
use super::too_large;

/// How many folders deep a copy goes. Each of them is held open.
const DEPTH: u32 = 200;

/// A file or a folder.
#[derive(Debug)]
pub(super) struct Original {
    fd: OwnedFd,
    about: Stat,
    /// Whose it must be, with all that is in it.
    owner: u32,
    /// How many folders deeper it goes.
    depth: u32,
}

/// What is in a folder.
enum Entry {
    Thing(Original),
    Link(PathBuf),
    /// A pipe or the like, or somebody else's.
    Special,
}

/// How many bytes may still be copied.
struct Budget {
    left: u64,
    limit: u64,
}

impl Original {
    /// Opens what lies at `within` below `base`, whose own name cannot be changed by `owner`; a part of the way that is a
    /// link, or not that user's, is an error.
    pub(super) fn open(base: &Path, within: &Path, owner: u32) -> io::Result<Self> {
        let of_owner = |fd: OwnedFd| {
            let original = Self::of(fd, owner, DEPTH)?;
            match original.about.st_uid == owner {
                true => Ok(original),
                false => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
            }
        };
        let mut original = of_owner(openat(CWD, base, FLAGS, Mode::empty())?)?;
        for part in within.components() {
            let Component::Normal(name) = part else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            original = of_owner(openat(&original.fd, name, FLAGS, Mode::empty())?)?;
        }
        Ok(original)
    }

    fn of(fd: OwnedFd, owner: u32, depth: u32) -> io::Result<Self> {
        let about = fstat(&fd)?;
        Ok(Self {
            fd,
            about,
            owner,
            depth,
        })
    }

    /// Whether it is a folder.
    pub(super) fn is_folder(&self) -> bool {
        FileType::from_raw_mode(self.about.st_mode) == FileType::Directory
    }

    /// Bytes of the file, or of all files of the folder.
    pub(super) fn measure(&self) -> io::Result<u64> {
        if !self.is_folder() {
            return Ok(u64::try_from(self.about.st_size).unwrap_or_default());
        }
        let mut bytes = 0_u64;
        for name in self.names()? {
            if let Some(Entry::Thing(inner)) = self.entry(&name)? {
                bytes = bytes.saturating_add(inner.measure()?);
            }
        }
        Ok(bytes)
    }

    /// Copies a folder's content into another, or a file over another, at most `limit` bytes: it may have grown since it was
    /// measured. The number of files.
    pub(super) fn copy(self, place: &Place, to: &Path, limit: u64) -> io::Result<u64> {
        let mut budget = Budget { left: limit, limit };
        if self.is_folder() {
            let (ground, way) = place.ground(to)?;
            return self.copy_content(&ground.descend(way)?, &mut budget);
        }
        let (ground, name) = place.spot(to)?;
        self.copy_file(&ground, &name, &mut budget)
    }

    fn copy_content(&self, to: &Ground, budget: &mut Budget) -> io::Result<u64> {
        let mut files = 0;
        for name in self.names()? {
            files += match self.entry(&name)? {
                Some(Entry::Thing(inner)) if inner.is_folder() => inner.copy_content(&to.enter(&name)?, budget)?,
                Some(Entry::Thing(inner)) => inner.copy_file(to, &name, budget)?,
                Some(Entry::Link(target)) => {
                    to.link(&name, &target)?;
                    1
                }
                Some(Entry::Special) | None => 0,
            };
        }
        Ok(files)
    }

    fn copy_file(self, to: &Ground, name: &std::ffi::OsStr, budget: &mut Budget) -> io::Result<u64> {
        let mut copy = to.create(name)?;
        let mut from = File::from(self.fd).take(budget.left.saturating_add(1));
        let copied = io::copy(&mut from, &mut copy)?;
        budget.left = budget
            .left
            .checked_sub(copied)
            .ok_or_else(|| io::Error::other(too_large(budget.limit)))?;
        copy.set_permissions(Permissions::from_mode(0o700))?;
        Ok(1)
    }

    /// What the folder has but git's own folder. Names only: a folder may hold more than can be open at once.
    fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.fd.as_fd())? {
            let name = entry?.file_name().to_bytes().to_vec();
            if !matches!(&name[..], b"." | b".." | b".git") {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Opens what has this name in the folder; nothing if it is gone.
    fn entry(&self, name: &std::ffi::OsStr) -> io::Result<Option<Entry>> {
        let fd = match openat(&self.fd, name, FLAGS, Mode::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => {
                let target = readlinkat(&self.fd, name, Vec::new())?;
                let target = std::ffi::OsStr::from_bytes(target.to_bytes()).into();
                return Ok(Some(Entry::Link(target)));
            }
            Err(rustix::io::Errno::NXIO) => return Ok(Some(Entry::Special)),
            Err(error) => return Err(error.into()),
        };
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| io::Error::other(format!("it has more than {DEPTH} folders in each other")))?;
        let inner = Self::of(fd, self.owner, depth)?;
        // A second name of somebody else's file is none of the folder's.
        match FileType::from_raw_mode(inner.about.st_mode) {
            FileType::Directory | FileType::RegularFile if inner.about.st_uid == self.owner => {
                Ok(Some(Entry::Thing(inner)))
            }
            _ => Ok(Some(Entry::Special)),
        }
    }
}

/// Not through a link, and not waiting for whoever is at the other end of a pipe.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Files with these contents below a folder.
    fn folder(at: &Path, files: &[(&str, &str)]) {
        for (file, text) in files {
            let path = at.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn open(base: &Path, within: &str) -> io::Result<Original> {
        Original::open(base, Path::new(within), rustix::process::geteuid().as_raw())
    }

    #[test]
    fn a_copy_has_no_git_folder_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to, elsewhere) = (
            dir.path().join("from"),
            dir.path().join("to"),
            dir.path().join("elsewhere"),
        );
        folder(&from, &[(".git/config", "x"), ("a/run.sh", "12"), ("b", "3")]);
        folder(&elsewhere, &[("precious", "old")]);
        fs::create_dir_all(&to).unwrap();
        symlink(elsewhere.join("precious"), to.join("b")).unwrap();
        symlink(&elsewhere, to.join("a")).unwrap();
        symlink(elsewhere.join("precious"), from.join("c")).unwrap();
        let place = Place::find(dir.path(), Some("to")).unwrap();
        assert_eq!(open(&from, "").unwrap().measure().unwrap(), 3);
        assert_eq!(open(&from, "").unwrap().copy(&place, place.folder(), 3).unwrap(), 3);
        assert!(!to.join(".git").exists());
        assert_eq!(fs::read_to_string(to.join("b")).unwrap(), "3");
        assert_eq!(fs::read_to_string(elsewhere.join("precious")).unwrap(), "old");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1, "a folder was replaced");
        assert_eq!(fs::read_to_string(to.join("a/run.sh")).unwrap(), "12");
        assert!(fs::symlink_metadata(to.join("c")).unwrap().is_symlink());

        let one = open(&from, "a/run.sh").unwrap();
        assert!(!one.is_folder());
        let place = Place::find(dir.path(), Some("one/x.sh")).unwrap();
        assert_eq!(one.copy(&place, &place.file("run.sh"), 2).unwrap(), 1);
        assert_eq!(fs::read_to_string(dir.path().join("one/x.sh")).unwrap(), "12");
        assert!(open(&from, "c").is_err(), "a link is not opened");
    }

    #[test]
    fn a_clone_that_became_a_link_or_is_somebody_elses_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (workplace, elsewhere) = (dir.path().join("git"), dir.path().join("elsewhere"));
        folder(&elsewhere, &[("shadow", "secret")]);
        folder(&workplace, &[("real/x", "1"), ("real/y", "2")]);
        symlink(&elsewhere, workplace.join("clone")).unwrap();
        assert!(open(&workplace, "clone/shadow").is_err());
        assert!(open(&workplace, "clone").is_err());
        let me = rustix::process::geteuid().as_raw();
        assert!(Original::open(&workplace, Path::new("real"), me + 1).is_err());
        if me != 0 {
            return;
        }
        // Of another user all the way but for one file.
        for path in ["", "real", "real/x"] {
            std::os::unix::fs::chown(workplace.join(path), Some(65_534), None).unwrap();
        }
        let original = Original::open(&workplace, Path::new("real"), 65_534).unwrap();
        let place = Place::find(dir.path(), Some("to")).unwrap();
        assert_eq!(original.copy(&place, place.folder(), 10).unwrap(), 1);
        assert!(place.folder().join("x").exists() && !place.folder().join("y").exists());
        assert!(Original::open(&workplace, Path::new("real/y"), 65_534).is_err());
    }

    #[test]
    fn what_has_grown_since_it_was_measured_is_not_copied_beyond_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        folder(&from, &[("a", "12"), ("b", "34")]);
        let place = Place::find(dir.path(), Some("to")).unwrap();
        let copy = |limit| open(&from, "").unwrap().copy(&place, place.folder(), limit);
        assert!(copy(3).unwrap_err().to_string().contains("larger than the 3 bytes"));
        assert_eq!(copy(4).unwrap(), 2);
    }
}
