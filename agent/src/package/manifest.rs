//! What a package consists of: `manifest.json`, or the content of a Package document (documents.md 1).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::signature::Seal;

/// Any platform, platform version or architecture.
const ANY: &str = "_any";

/// Platform, then platform version, then architecture, to a file.
type Packages = BTreeMap<String, BTreeMap<String, BTreeMap<String, Choice>>>;

/// The files of one version of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// `2.0`.
    pub schema_version: String,
    /// The package's own version, `1.2.3`.
    pub version: String,
    /// Who made it; shown, not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Which file is for which platform.
    pub packages: Packages,
    /// The files by their names.
    pub files: BTreeMap<String, FileFacts>,
    /// The signature of the statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Seal>,
}

/// The file for a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Its name.
    pub file: String,
}

/// What is known about a file before it is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// By algorithm; `sha256` must be there.
    pub checksums: BTreeMap<String, String>,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// The versions of a package that a store has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// In no order.
    pub versions: Vec<String>,
    /// The signature of the statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Seal>,
}

/// What a package is chosen for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Names of its platform, lower case, the best one first: `debian`.
    pub platforms: Vec<String>,
    /// `12`.
    pub version: String,
    /// `x86_64`.
    pub architecture: String,
}

/// Why a manifest or an index is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// No JSON, or not of this shape.
    #[error("it is not understood: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A later schema.
    #[error("its schemaVersion is {0:?}; this agent knows 2.0")]
    Schema(String),
    /// A name that could mean something to a path or to the statement.
    #[error("{0:?} cannot be the name of a version or a file: letters, digits and . _ - + ~ only, at most 128")]
    Name(String),
    /// A file without a SHA-256.
    #[error("the file {0:?} has no sha256 checksum")]
    NoChecksum(String),
    /// A platform's file that is not among the files.
    #[error("the file {0:?} is chosen for a platform and is not among the files")]
    NoFile(String),
    /// Nothing for this machine.
    #[error("it has no file for {platform} {version} on {architecture}; it has {known}")]
    NoPlatform {
        /// The machine's platform.
        platform: String,
        /// The machine's platform version.
        version: String,
        /// The machine's architecture.
        architecture: String,
        /// What there is.
        known: String,
    },
}

/// Whether a text may be the name of a package, a version or a file: it is one safe path segment.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+~".contains(c);
    (1..=128).contains(&text.len()) && text.chars().all(is_plain) && !text.starts_with('.')
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// If there is anything in it that cannot be relied on.
    pub fn read(text: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(text)?;
        if manifest.schema_version != "2.0" {
            return Err(ManifestError::Schema(manifest.schema_version));
        }
        let chosen = manifest.choices().map(|(.., file)| file);
        for name in [manifest.version.as_str()].into_iter().chain(chosen) {
            if !is_name(name) {
                return Err(ManifestError::Name(name.to_owned()));
            }
        }
        for (platform, version, architecture, file) in manifest.choices() {
            if let Some(name) = [platform, version, architecture].iter().find(|name| !is_key(name)) {
                return Err(ManifestError::Name((*name).to_owned()));
            }
            match manifest.files.get(file) {
                None => return Err(ManifestError::NoFile(file.to_owned())),
                Some(facts) if facts.sha256().is_none() => return Err(ManifestError::NoChecksum(file.to_owned())),
                Some(_) => {}
            }
        }
        Ok(manifest)
    }

    /// What a signature of it signs: everything that decides what is installed.
    #[must_use]
    pub fn statement(&self, name: &str) -> String {
        let mut statement = format!("muster package 1\nname {name}\nversion {}\n", self.version);
        for (platform, version, architecture, file) in self.choices() {
            let _ = writeln!(statement, "package {platform} {version} {architecture} {file}");
        }
        for (_, _, _, file) in self.choices() {
            let sha256 = self.files.get(file).and_then(FileFacts::sha256).unwrap_or_default();
            let _ = writeln!(statement, "file {file} sha256 {sha256}");
        }
        statement
    }

    /// The file for a machine: an exact platform before any, an exact version before a pattern before any.
    ///
    /// # Errors
    /// If there is none.
    pub fn choose(&self, machine: &Machine) -> Result<(&str, &FileFacts), ManifestError> {
        let platforms = machine.platforms.iter().map(String::as_str).chain([ANY]);
        let chosen = platforms
            .filter_map(|platform| self.packages.get(platform))
            .find_map(|versions| {
                let mut fitting: Vec<(u8, &BTreeMap<String, Choice>)> = versions
                    .iter()
                    .filter_map(|(pattern, files)| Some((fit(pattern, &machine.version)?, files)))
                    .collect();
                fitting.sort_by_key(|(fit, _)| *fit);
                let names = architecture_names(&machine.architecture);
                fitting
                    .into_iter()
                    .find_map(|(_, files)| names.iter().find_map(|name| files.get(*name)))
            });
        let facts = chosen.and_then(|choice| Some((choice.file.as_str(), self.files.get(&choice.file)?)));
        facts.ok_or_else(|| ManifestError::NoPlatform {
            platform: machine.platforms.first().cloned().unwrap_or_default(),
            version: machine.version.clone(),
            architecture: machine.architecture.clone(),
            known: self
                .choices()
                .map(|(platform, version, architecture, _)| format!("{platform}/{version}/{architecture}"))
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// Platform, version, architecture and file, in the order of their names.
    fn choices(&self) -> impl Iterator<Item = (&str, &str, &str, &str)> {
        self.packages.iter().flat_map(|(platform, versions)| {
            versions.iter().flat_map(move |(version, files)| {
                files.iter().map(move |(architecture, choice)| {
                    (
                        platform.as_str(),
                        version.as_str(),
                        architecture.as_str(),
                        choice.file.as_str(),
                    )
                })
            })
        })
    }
}

impl Index {
    /// Reads and checks an index.
    ///
    /// # Errors
    /// If it is no index.
    pub fn read(text: &[u8]) -> Result<Self, ManifestError> {
        let index: Self = serde_json::from_slice(text)?;
        match index.versions.iter().find(|version| !is_name(version)) {
            Some(version) => Err(ManifestError::Name(version.clone())),
            None => Ok(index),
        }
    }

    /// What a signature of it signs.
    #[must_use]
    pub fn statement(&self, name: &str) -> String {
        let mut versions = self.versions.clone();
        versions.sort_unstable();
        let mut statement = format!("muster package index 1\nname {name}\n");
        for version in versions {
            let _ = writeln!(statement, "version {version}");
        }
        statement
    }

    /// The highest version.
    #[must_use]
    pub fn latest(&self) -> Option<&str> {
        let versions = self.versions.iter().map(String::as_str);
        versions.max_by(|one, other| super::compare(one, other))
    }
}

impl FileFacts {
    /// The checksum in lower-case hex, if it has the right form.
    #[must_use]
    pub fn sha256(&self) -> Option<String> {
        let sum = self.checksums.get("sha256").or_else(|| self.checksums.get("SHA256"))?;
        let is_hex = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| sum.to_lowercase())
    }
}

/// A key of `packages`: it stands in the statement between blanks.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.chars().all(|c| c.is_ascii_graphic())
}

/// How well a version fits a pattern, best first: the same, `12.*` for `12.5`, any.
fn fit(pattern: &str, version: &str) -> Option<u8> {
    if pattern == version {
        return Some(0);
    }
    if pattern == ANY {
        return Some(2);
    }
    let stem = pattern.strip_suffix('*')?;
    let fits = version.starts_with(stem) || stem.strip_suffix('.') == Some(version);
    fits.then_some(1)
}

/// The names an architecture goes by, the best one first.
fn architecture_names(name: &str) -> Vec<&str> {
    match name {
        "x86_64" => vec!["x86_64", "amd64", ANY],
        "aarch64" => vec!["arm64", "aarch64", ANY],
        "x86" => vec!["386", "i386", "i686", ANY],
        other => vec![other, ANY],
    }
}

impl Machine {
    /// The machine that the text of `os-release` and an architecture describe.
    #[must_use]
    pub fn of(os_release: &str, architecture: &str) -> Self {
        let value = |key: &str| {
            let line = os_release
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.map(|value| value.trim().trim_matches(['"', '\'']).to_lowercase())
        };
        let id = value("ID").unwrap_or_else(|| "linux".to_owned());
        let alias = match id.as_str() {
            "amzn" => "amazon",
            "rhel" => "redhat",
            "sles" | "sled" | "opensuse-leap" | "opensuse-tumbleweed" => "suse",
            "ol" => "oracle",
            other => other,
        };
        let mut platforms = vec![alias.to_owned()];
        for more in [
            Some(id.clone()),
            value("NAME").map(|name| name.replace(' ', "_")),
            Some("linux".to_owned()),
        ] {
            platforms.extend(more.filter(|more| !platforms.contains(more)));
        }
        Self {
            platforms,
            version: value("VERSION_ID").unwrap_or_default(),
            architecture: architecture.to_owned(),
        }
    }

    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        let text = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok());
        Self::of(&text.unwrap_or_default(), std::env::consts::ARCH)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> serde_json::Value {
        let file = |sum: &str| json!({"checksums": {"sha256": sum.repeat(64)}});
        json!({
            "schemaVersion": "2.0",
            "version": "1.2.3",
            "packages": {
                "debian": {
                    "12": {"x86_64": {"file": "deb12.zip"}},
                    "_any": {"_any": {"file": "deb.zip"}},
                },
                "redhat": {"9.*": {"x86_64": {"file": "el9.zip"}, "arm64": {"file": "el9-arm.zip"}}},
                "_any": {"_any": {"_any": {"file": "any.zip"}}},
            },
            "files": {
                "deb12.zip": file("a"), "deb.zip": file("b"), "el9.zip": file("c"), "el9-arm.zip": file("d"),
                "any.zip": file("e"),
            },
        })
    }

    fn read(value: &serde_json::Value) -> Result<Manifest, ManifestError> {
        Manifest::read(value.to_string().as_bytes())
    }

    fn machine(id: &str, version: &str, architecture: &str) -> Machine {
        Machine::of(&format!("ID={id}\nVERSION_ID=\"{version}\"\n"), architecture)
    }

    #[test]
    fn the_closest_platform_wins() {
        let manifest = read(&manifest()).unwrap();
        for (id, version, architecture, file) in [
            ("debian", "12", "x86_64", "deb12.zip"),
            ("debian", "12", "aarch64", "deb.zip"),
            ("debian", "13", "x86_64", "deb.zip"),
            ("rhel", "9.4", "x86_64", "el9.zip"),
            ("rhel", "9.4", "aarch64", "el9-arm.zip"),
            ("arch", "", "x86_64", "any.zip"),
        ] {
            assert_eq!(
                manifest.choose(&machine(id, version, architecture)).unwrap().0,
                file,
                "{id} {version}"
            );
        }
        let mut narrow = manifest;
        narrow.packages.remove("_any");
        let error = narrow.choose(&machine("arch", "1", "x86_64")).unwrap_err().to_string();
        assert!(
            error.contains("arch 1 on x86_64") && error.contains("redhat/9.*/arm64"),
            "{error}"
        );
    }

    #[test]
    fn the_statement_says_everything_that_decides_what_is_installed() {
        let manifest = read(&manifest()).unwrap();
        let statement = manifest.statement("tool");
        assert!(statement.starts_with("muster package 1\nname tool\nversion 1.2.3\npackage _any _any _any any.zip\n"));
        assert!(statement.contains(&format!("\nfile deb.zip sha256 {}\n", "b".repeat(64))));
        let mut other = manifest.clone();
        other.publisher = Some("somebody".into());
        assert_eq!(other.statement("tool"), statement);
        other
            .files
            .get_mut("deb.zip")
            .unwrap()
            .checksums
            .insert("sha256".into(), "f".repeat(64));
        assert_ne!(other.statement("tool"), statement);
    }

    #[test]
    fn what_cannot_be_relied_on_is_refused() {
        let change = |path: &str, value: serde_json::Value| {
            let mut manifest = manifest();
            *manifest.pointer_mut(path).unwrap() = value;
            read(&manifest).unwrap_err().to_string()
        };
        assert!(change("/schemaVersion", json!("3.0")).contains("schemaVersion"));
        assert!(change("/version", json!("../1")).contains("cannot be the name"));
        assert!(change("/packages/debian/12/x86_64/file", json!("../x.zip")).contains("cannot be the name"));
        assert!(change("/packages/debian/12/x86_64/file", json!("none.zip")).contains("not among the files"));
        assert!(change("/files/deb.zip/checksums", json!({"md5": "x"})).contains("no sha256"));
        assert!(change("/packages", json!([])).contains("not understood"));
        for bad in ["", "a/b", "..", ".hidden", "a b", "a\nb"] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_latest_version_is_the_highest() {
        let index = Index::read(br#"{"versions": ["1.9.0", "1.10.0", "1.10.0-rc.1"]}"#).unwrap();
        assert_eq!(index.latest(), Some("1.10.0"));
        assert_eq!(
            index.statement("t"),
            "muster package index 1\nname t\nversion 1.10.0\nversion 1.10.0-rc.1\nversion 1.9.0\n"
        );
        assert!(Index::read(br#"{"versions": ["../x"]}"#).is_err());
    }
}
