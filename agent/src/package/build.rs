//! Making a package: the other end of what machines install.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use super::archive::{self, ArchiveError};
use super::manifest::{Choice, FileFacts, Index, Manifest, ManifestError, is_name};
use super::signature::SigningKey;

/// What to make.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// The package's name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// For which platform: `debian`, or `_any`.
    pub platform: &'a str,
    /// For which version of the platform: `12`, `12.*`, or `_any`.
    pub platform_version: &'a str,
    /// For which architecture: `x86_64`, `arm64`, or `_any`.
    pub architecture: &'a str,
    /// The files.
    pub directory: &'a Path,
    /// The store, a directory; it is made if it is not there.
    pub store: &'a Path,
}

/// Why a package cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A name that would not be taken.
    #[error("{0:?} cannot be a name: letters, digits and . _ - + ~ only, at most 128, and no point at the beginning")]
    Name(String),
    /// No script to install it with.
    #[error("{0:?} has no install.sh; a package needs one")]
    NoInstall(PathBuf),
    /// The archive cannot be made.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What the store has already is not understood.
    #[error("{path:?}: {source}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// The store cannot be written.
    #[error("{path:?}: {source}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
}

/// Makes an archive of a directory, adds it to the store's manifest of that version, and signs manifest and index.
/// Returns the manifest.
///
/// # Errors
/// If a file cannot be read or written, or a name would be refused by the machines.
pub fn build(order: &Order<'_>, key: Option<&SigningKey>) -> Result<Manifest, BuildError> {
    let file = format!(
        "{}_{}_{}_{}_{}.zip",
        order.name,
        order.version,
        order.platform,
        order.platform_version.replace('*', "x"),
        order.architecture
    );
    for name in [order.name, order.version, &file] {
        if !is_name(name) {
            return Err(BuildError::Name(name.to_owned()));
        }
    }
    // The agent itself is a package too: one program, which the updater puts in its place.
    let is_agent = order.name == crate::update::PACKAGE && order.directory.join("muster-agent").is_file();
    if !is_agent && !order.directory.join("install.sh").is_file() {
        return Err(BuildError::NoInstall(order.directory.to_owned()));
    }
    let home = order.store.join(order.name);
    let place = home.join(order.version);
    fs::create_dir_all(&place).map_err(disk(&place))?;

    let path = place.join(&file);
    archive::pack(order.directory, File::create(&path).map_err(disk(&path))?)?;
    let (sha256, size) = measure(&path).map_err(disk(&path))?;

    let path = place.join("manifest.json");
    let mut manifest = match read(&path)? {
        Some(text) => Manifest::read(&text).map_err(|source| BuildError::Manifest {
            path: path.clone(),
            source,
        })?,
        None => Manifest {
            schema_version: "2.0".to_owned(),
            version: order.version.to_owned(),
            publisher: None,
            packages: BTreeMap::new(),
            files: BTreeMap::new(),
            signature: None,
        },
    };
    let versions = manifest.packages.entry(order.platform.to_owned()).or_default();
    let files = versions.entry(order.platform_version.to_owned()).or_default();
    files.insert(order.architecture.to_owned(), Choice { file: file.clone() });
    let checksums = BTreeMap::from([("sha256".to_owned(), sha256)]);
    manifest.files.insert(
        file,
        FileFacts {
            checksums,
            size: Some(size),
        },
    );
    manifest.signature = key.map(|key| key.seal(&manifest.statement(order.name)));
    write(&path, &manifest)?;

    let path = home.join("index.json");
    let mut index = match read(&path)? {
        Some(text) => Index::read(&text).map_err(|source| BuildError::Manifest {
            path: path.clone(),
            source,
        })?,
        None => Index {
            versions: Vec::new(),
            signature: None,
        },
    };
    if !index.versions.iter().any(|version| version == order.version) {
        index.versions.push(order.version.to_owned());
    }
    index.versions.sort_by(|one, other| super::compare(one, other));
    index.signature = key.map(|key| key.seal(&index.statement(order.name)));
    write(&path, &index)?;
    Ok(manifest)
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::Disk { path, source }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, BuildError> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk(path)(error)),
    }
}

fn write(path: &Path, value: &impl serde::Serialize) -> Result<(), BuildError> {
    let mut text = serde_json::to_string_pretty(value).expect("maps of texts have a JSON form");
    text.push('\n');
    fs::write(path, text).map_err(disk(path))
}

/// SHA-256 in hex, and the length.
fn measure(path: &Path) -> io::Result<(String, u64)> {
    let mut digest = Sum(Context::new(&SHA256));
    let size = io::copy(&mut File::open(path)?, &mut digest)?;
    let bytes = digest.0.finish();
    Ok((bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(), size))
}

/// Counts what is written to it into a checksum.
struct Sum(Context);

impl io::Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::signature::Trust;
    use super::*;

    #[test]
    fn a_store_grows_by_versions_and_platforms_and_stays_signed() {
        let root = tempfile::tempdir().unwrap();
        let (from, store) = (root.path().join("from"), root.path().join("store"));
        fs::create_dir(&from).unwrap();
        let key = SigningKey::generate().unwrap();
        let mut order = Order {
            name: "tool",
            version: "1.0.0",
            platform: "debian",
            platform_version: "_any",
            architecture: "x86_64",
            directory: &from,
            store: &store,
        };
        assert!(matches!(build(&order, Some(&key)), Err(BuildError::NoInstall(_))));
        fs::write(from.join("install.sh"), "true\n").unwrap();
        build(&order, Some(&key)).unwrap();
        order.architecture = "arm64";
        build(&order, Some(&key)).unwrap();
        order.version = "1.1.0";
        build(&order, Some(&key)).unwrap();

        let trust = Trust {
            keys: vec![key.public()],
            allows_unsigned: false,
        };
        let manifest = Manifest::read(&fs::read(store.join("tool/1.0.0/manifest.json")).unwrap()).unwrap();
        trust
            .check(&manifest.statement("tool"), manifest.signature.as_ref())
            .unwrap();
        assert!(
            trust
                .check(&manifest.statement("other"), manifest.signature.as_ref())
                .is_err()
        );
        assert_eq!(manifest.files.len(), 2);
        let index = Index::read(&fs::read(store.join("tool/index.json")).unwrap()).unwrap();
        trust.check(&index.statement("tool"), index.signature.as_ref()).unwrap();
        assert_eq!(index.versions, ["1.0.0", "1.1.0"]);
        order.version = "../2";
        assert!(matches!(build(&order, None), Err(BuildError::Name(_))));
    }
}
