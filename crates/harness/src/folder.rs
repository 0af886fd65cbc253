//! A temporary folder that outlives a failed test.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A temporary folder, deleted when the test succeeds; when the test panics it stays and its path is printed.
#[derive(Debug)]
pub struct Folder {
    inner: Option<TempDir>,
    path: PathBuf,
}

impl Folder {
    /// Makes an empty folder whose name begins with `muster-<what>-`.
    ///
    /// # Panics
    /// If the system's temporary folder cannot be written.
    #[must_use]
    pub fn new(what: &str) -> Self {
        let inner = tempfile::Builder::new()
            .prefix(&format!("muster-{what}-"))
            .tempdir()
            .unwrap_or_else(|error| panic!("no temporary folder can be made: {error}"));
        let path = inner.path().to_owned();
        Self {
            inner: Some(inner),
            path,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(folder) = self.inner.take()
            && std::thread::panicking()
        {
            let kept = folder.keep();
            #[expect(clippy::print_stderr, reason = "whoever reads the failed test looks for the folder")]
            {
                eprintln!("the test failed; its folder stays at {}", kept.display());
            }
        }
    }
}

/// Writes a file with a secret, for its owner alone.
///
/// # Errors
/// If the system refuses.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = File::options();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_test() {
        let folder = Folder::new("gone");
        let path = folder.path().to_owned();
        std::fs::write(folder.join("file"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_stays_when_its_test_fails() {
        let (tell, told) = std::sync::mpsc::channel();
        let failed = std::thread::spawn(move || {
            let folder = Folder::new("kept");
            tell.send(folder.path().to_owned()).unwrap();
            panic!("on purpose");
        })
        .join();
        assert!(failed.is_err());
        let path = told.recv().unwrap();
        assert!(path.exists());
        std::fs::remove_dir_all(path).unwrap();
    }
}
