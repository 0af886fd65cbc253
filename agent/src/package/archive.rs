//! Zip files of packages: made by the build tool, taken apart on a machine that does not trust them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// How much an archive may become.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all files, unpacked.
    pub bytes: u64,
    /// Files and directories.
    pub entries: usize,
}

impl Default for Limits {
    /// 2 GiB in 20,000 entries.
    fn default() -> Self {
        Self {
            bytes: 2 * 1024 * 1024 * 1024,
            entries: 20_000,
        }
    }
}

/// Why an archive is not taken apart, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not a zip file, or broken.
    #[error("the archive cannot be read: {0}")]
    Broken(#[from] zip::result::ZipError),
    /// A name that leaves the directory, or is no plain path.
    #[error("the archive has an entry {0:?} that leaves the package's directory")]
    Outside(String),
    /// A link, a device, a socket.
    #[error("the archive has an entry {0:?} that is neither a file nor a directory")]
    Special(String),
    /// Two entries of one name.
    #[error("the archive has the entry {0:?} twice")]
    Twice(String),
    /// More than allowed.
    #[error("the archive has more than {0} entries")]
    Entries(usize),
    /// More than allowed.
    #[error("the archive unpacks to more than {0} bytes")]
    Bytes(u64),
    /// The disk.
    #[error("cannot unpack {path:?}: {source}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
}

/// Takes an archive apart into a directory, which is made; for the owner only.
///
/// # Errors
/// If the archive is broken, or has anything in it that a package has no need of. What was written stays: the caller
/// removes the directory.
pub fn unpack(archive: impl Read + Seek, into: &Path, limits: Limits) -> Result<(), ArchiveError> {
    let mut archive = ZipArchive::new(archive)?;
    if archive.len() > limits.entries {
        return Err(ArchiveError::Entries(limits.entries));
    }
    make_directory(into)?;
    let (mut left, mut seen) = (limits.bytes, HashSet::new());
    for position in 0..archive.len() {
        let mut entry = archive.by_index(position)?;
        let name = entry.name()?.into_owned();
        let relative = plain_path(&name).ok_or_else(|| ArchiveError::Outside(name.clone()))?;
        // The type bits of a Unix mode; archives made elsewhere have none.
        let kind = entry.unix_mode().unwrap_or(0) & 0o170_000;
        if !matches!(kind, 0 | 0o100_000 | 0o040_000) {
            return Err(ArchiveError::Special(name));
        }
        let path = into.join(&relative);
        if entry.is_dir() {
            make_directory(&path)?;
            continue;
        }
        if kind == 0o040_000 {
            return Err(ArchiveError::Special(name));
        }
        if !seen.insert(relative) {
            return Err(ArchiveError::Twice(name));
        }
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        let mode = 0o600 | (entry.unix_mode().unwrap_or(0) & 0o755);
        let written = write(&mut entry, &path, mode, left)?;
        left -= written;
        if left == 0 && entry.read(&mut [0]).map_err(zip::result::ZipError::Io)? > 0 {
            return Err(ArchiveError::Bytes(limits.bytes));
        }
    }
    Ok(())
}

/// Copies at most `most` bytes; how many there were.
fn write(entry: &mut impl Read, path: &Path, mode: u32, most: u64) -> Result<u64, ArchiveError> {
    let disk = |source| ArchiveError::Disk {
        path: path.to_owned(),
        source,
    };
    let mut file = File::options()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(path)
        .map_err(disk)?;
    io::copy(&mut entry.take(most), &mut file).map_err(disk)
}

fn make_directory(path: &Path) -> Result<(), ArchiveError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| ArchiveError::Disk {
            path: path.to_owned(),
            source,
        })
}

/// A name as a path below a directory, if it is one whatever it is joined to.
fn plain_path(name: &str) -> Option<PathBuf> {
    if name.contains(['\\', '\0']) || name.starts_with('/') {
        return None;
    }
    let path = Path::new(name);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && path.components().next().is_some()).then(|| path.to_owned())
}

/// Makes an archive of a directory: always the same bytes for the same files.
///
/// # Errors
/// If a file cannot be read, is a link, or the archive cannot be written.
pub fn pack(directory: &Path, into: impl Write + Seek) -> Result<(), ArchiveError> {
    let mut archive = ZipWriter::new(into);
    for path in files_of(directory)? {
        let disk = |source| ArchiveError::Disk {
            path: path.clone(),
            source,
        };
        let about = fs::symlink_metadata(&path).map_err(disk)?;
        let name = path
            .strip_prefix(directory)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        if !about.is_file() {
            return Err(ArchiveError::Special(name));
        }
        // Scripts may have lost their bit on the way here; they are started through their interpreter.
        let mode = 0o644 | (about.permissions().mode() & 0o111);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(mode)
            .large_file(about.len() > u64::from(u32::MAX));
        archive.start_file(name, options)?;
        io::copy(&mut File::open(&path).map_err(disk)?, &mut archive).map_err(disk)?;
    }
    archive.finish()?;
    Ok(())
}

/// Everything below a directory that is none, in the order of the names.
fn files_of(directory: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    let disk = |source| ArchiveError::Disk {
        path: directory.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(disk)? {
        let entry = entry.map_err(disk)?;
        if entry.file_type().map_err(disk)?.is_dir() {
            files.extend(files_of(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// An archive with these entries: name, Unix mode, content.
    fn archive(entries: &[(&str, u32, &[u8])]) -> Cursor<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, mode, content) in entries {
            let options = SimpleFileOptions::default().unix_permissions(*mode);
            archive.start_file(*name, options).unwrap();
            archive.write_all(content).unwrap();
        }
        archive.finish().unwrap()
    }

    fn unpack_into_nothing(archive: Cursor<Vec<u8>>, limits: Limits) -> (tempfile::TempDir, Result<(), ArchiveError>) {
        let root = tempfile::tempdir().unwrap();
        let outcome = unpack(archive, &root.path().join("package"), limits);
        (root, outcome)
    }

    #[test]
    fn what_was_packed_comes_out_with_its_modes() {
        let from = tempfile::tempdir().unwrap();
        fs::create_dir(from.path().join("bin")).unwrap();
        fs::write(from.path().join("install.sh"), "echo hi\n").unwrap();
        fs::write(from.path().join("bin/tool"), vec![7; 100_000]).unwrap();
        fs::set_permissions(from.path().join("bin/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
        let mut first = Cursor::new(Vec::new());
        pack(from.path(), &mut first).unwrap();
        let mut second = Cursor::new(Vec::new());
        pack(from.path(), &mut second).unwrap();
        assert_eq!(first.get_ref(), second.get_ref());

        let (root, outcome) = unpack_into_nothing(first, Limits::default());
        outcome.unwrap();
        let package = root.path().join("package");
        assert_eq!(fs::read(package.join("bin/tool")).unwrap(), vec![7; 100_000]);
        let mode = |path: &str| fs::metadata(package.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (mode("bin/tool"), mode("install.sh"), mode("bin")),
            (0o755, 0o644, 0o700)
        );
    }

    #[test]
    fn nothing_leaves_the_directory() {
        for name in ["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil", "./../evil"] {
            let (root, outcome) = unpack_into_nothing(archive(&[(name, 0o644, b"x")]), Limits::default());
            assert!(matches!(outcome, Err(ArchiveError::Outside(_))), "{name}: {outcome:?}");
            assert!(!root.path().join("evil").exists());
        }
    }

    #[test]
    fn links_are_refused() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer
            .add_symlink("link", "/etc", SimpleFileOptions::default())
            .unwrap();
        writer.start_file("link/passwd", SimpleFileOptions::default()).unwrap();
        let (root, outcome) = unpack_into_nothing(writer.finish().unwrap(), Limits::default());
        assert!(matches!(outcome, Err(ArchiveError::Special(name)) if name == "link"));
        assert!(!root.path().join("package/link").exists());
    }

    #[test]
    fn bombs_are_refused_by_what_comes_out_of_them() {
        let small = Limits {
            bytes: 1_000,
            entries: 2,
        };
        let bomb = archive(&[("a", 0o644, &[0; 600]), ("b", 0o644, &[0; 600])]);
        assert!(matches!(
            unpack_into_nothing(bomb, small).1,
            Err(ArchiveError::Bytes(1_000))
        ));
        let exact = archive(&[("a", 0o644, &[0; 600]), ("b", 0o644, &[0; 400])]);
        assert!(unpack_into_nothing(exact, small).1.is_ok());
        let many = archive(&[("a", 0o644, b""), ("b", 0o644, b""), ("c", 0o644, b"")]);
        assert!(matches!(
            unpack_into_nothing(many, small).1,
            Err(ArchiveError::Entries(2))
        ));
        assert!(matches!(
            unpack_into_nothing(Cursor::new(b"no zip".to_vec()), small).1,
            Err(ArchiveError::Broken(_))
        ));
    }
}
