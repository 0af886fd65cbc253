//! Copying what somebody else may still be writing to: a clone that lies with the step's user.
//!
//! Everything is opened below what was opened before and links are never followed, so that nothing else can be slipped in
//! between looking and reading.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};

use crate::state::make_private_directory;

/// A file or a folder.
#[derive(Debug)]
pub(super) struct Original {
    fd: OwnedFd,
    about: Stat,
}

/// What is in a folder.
enum Entry {
    Thing(Original),
    Link(PathBuf),
    /// A pipe or the like.
    Special,
}

impl Original {
    /// Opens what lies at `within` below `base`; a part of the way that is a link is an error.
    pub(super) fn open(base: &Path, within: &Path) -> io::Result<Self> {
        let mut original = Self::of(openat(CWD, base, FLAGS, Mode::empty())?)?;
        for part in within.components() {
            let Component::Normal(name) = part else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            let owner = original.about.st_uid;
            original = Self::of(openat(&original.fd, name, FLAGS, Mode::empty())?)?;
            if original.about.st_uid != owner {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        }
        Ok(original)
    }

    fn of(fd: OwnedFd) -> io::Result<Self> {
        let about = fstat(&fd)?;
        Ok(Self { fd, about })
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
        let mut bytes = 0;
        for (_, entry) in self.content()? {
            if let Entry::Thing(inner) = entry {
                bytes += inner.measure()?;
            }
        }
        Ok(bytes)
    }

    /// Copies a folder's content into another, or a file over another; the number of files.
    pub(super) fn copy(self, to: &Path) -> io::Result<u64> {
        if self.is_folder() {
            make_private_directory(to)?;
            let mut files = 0;
            for (name, entry) in self.content()? {
                let to = to.join(name);
                files += match entry {
                    Entry::Thing(inner) => inner.copy(&to)?,
                    Entry::Link(target) => {
                        make_room(&to)?;
                        symlink(target, &to)?;
                        1
                    }
                    Entry::Special => 0,
                };
            }
            return Ok(files);
        }
        make_room(to)?;
        let mut copy = File::create(to)?;
        io::copy(&mut File::from(self.fd), &mut copy)?;
        copy.set_permissions(fs::Permissions::from_mode(0o700))?;
        Ok(1)
    }

    /// What is in the folder but git's own folder.
    fn content(&self) -> io::Result<Vec<(PathBuf, Entry)>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(self.fd.as_fd())? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b".." | b".git") {
                continue;
            }
            let thing = match openat(&self.fd, name, FLAGS, Mode::empty()) {
                Ok(fd) => {
                    let inner = Self::of(fd)?;
                    // A second name of somebody else's file is none of the folder's.
                    match FileType::from_raw_mode(inner.about.st_mode) {
                        FileType::Directory | FileType::RegularFile if inner.about.st_uid == self.about.st_uid => {
                            Entry::Thing(inner)
                        }
                        _ => Entry::Special,
                    }
                }
                Err(rustix::io::Errno::LOOP) => {
                    let target = readlinkat(&self.fd, name, Vec::new())?;
                    Entry::Link(std::ffi::OsStr::from_bytes(target.to_bytes()).into())
                }
                Err(rustix::io::Errno::NXIO) => Entry::Special,
                Err(error) => return Err(error.into()),
            };
            entries.push((std::ffi::OsStr::from_bytes(name.to_bytes()).into(), thing));
        }
        Ok(entries)
    }
}

/// Not through a link, and not waiting for whoever is at the other end of a pipe.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Makes the folder above, and removes a file or a link that is in the way: a link is replaced, not followed.
fn make_room(to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        make_private_directory(folder)?;
    }
    match fs::symlink_metadata(to) {
        Ok(there) if !there.is_dir() => fs::remove_file(to),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_no_git_folder_and_follows_no_link() {
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
        symlink(dir.path().join("precious"), from.join("c")).unwrap();
        let original = || Original::open(&from, Path::new("")).unwrap();
        assert_eq!(original().measure().unwrap(), 3);
        assert_eq!(original().copy(&to).unwrap(), 3);
        assert!(!to.join(".git").exists());
        assert_eq!(fs::read_to_string(to.join("b")).unwrap(), "3");
        assert_eq!(fs::read_to_string(dir.path().join("precious")).unwrap(), "old");
        assert!(fs::symlink_metadata(to.join("c")).unwrap().is_symlink());

        let one = Original::open(&from, Path::new("a/run.sh")).unwrap();
        assert!(!one.is_folder());
        assert_eq!(one.copy(&dir.path().join("one/x.sh")).unwrap(), 1);
        assert_eq!(fs::read_to_string(dir.path().join("one/x.sh")).unwrap(), "12");
        assert!(Original::open(&from, Path::new("c")).is_err(), "a link is not opened");
    }
}
