//! The agent's configuration file (agent.md B10): TOML, every key optional.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::objects::Objects;
use crate::package::{PublicKey, Trust};
use crate::runner::Keep;

/// What the owner of a machine can set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Document runs at the same time, 1 to 50.
    pub concurrency: u32,
    /// Accepted runs that may wait for their turn; more are refused for the moment. 1 to 10,000.
    pub queue: u32,
    /// Who reads scripts that do not say: a name looked up in the usual directories, or an absolute path.
    pub default_shell: String,
    /// What scripts see as `AWS_SSM_REGION_NAME`.
    pub region: String,
    /// Where the machine stands, as the service shows it.
    pub availability_zone: String,
    /// Variables for every script.
    pub environment: BTreeMap<String, String>,
    /// Seconds between SIGTERM and SIGKILL, 0 to 300.
    pub grace_seconds: u64,
    /// What happens to a step whose runner died.
    pub on_interrupt: OnInterrupt,
    /// What a reply keeps of a long stream.
    pub keep: Keep,
    /// Longest file of an output stream, in bytes; at least 2 MiB.
    pub output_bytes: u64,
    /// What all runs may take on the disk, in bytes, before the oldest finished ones are removed.
    pub quota_bytes: u64,
    /// Files and directories that all runs may have, before the oldest finished ones are removed.
    pub quota_entries: u64,
    /// Longest download, in bytes; at least 1 MiB.
    pub download_bytes: u64,
    /// Where repositories of the source type `GitHub` are.
    pub github_url: String,
    /// Where complete outputs go, and where downloads of the source type `S3` come from.
    pub objects: Objects,
    /// Where packages come from, and whose are taken.
    pub packages: Packages,
    /// How the agent's own updates go.
    pub update: Update,
    /// The program for containers.
    pub docker: Docker,
}

/// Where packages come from, and whose are taken (docs/operate/packages.md).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Packages {
    /// The package store: `https://…`, `http://…`, `file:///…` or an absolute path. Empty: there is none.
    pub url: String,
    /// Public keys that sign packages, 32 bytes in base64 each.
    pub keys: Vec<String>,
    /// Whether packages without a signature are taken too; never the agent itself.
    pub allow_unsigned: bool,
}

impl Packages {
    /// Whose packages are taken.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust {
            keys: self.keys.iter().filter_map(|key| key.parse().ok()).collect(),
            allows_unsigned: self.allow_unsigned,
        }
    }
}

/// How the agent's own updates go (docs/operate/agent-update.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Update {
    /// Seconds that a new version may take to reach its service before the previous one comes back, 5 to 3600.
    pub confirm_seconds: u64,
}

impl Default for Update {
    fn default() -> Self {
        Self { confirm_seconds: 300 }
    }
}

/// The program for containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Docker {
    /// A name that is looked up in the usual directories, or an absolute path.
    pub program: String,
}

impl Default for Docker {
    fn default() -> Self {
        Self {
            program: "docker".to_owned(),
        }
    }
}

/// What happens to a step whose runner died while it ran (agent.md B3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInterrupt {
    /// It failed: scripts are rarely made to run twice.
    Fail,
    /// It runs again, as with the AWS agent.
    Repeat,
}

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// The text is no TOML, or has keys that do not exist.
    #[error("{path:?} is not understood")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
    /// A value is outside its bounds.
    #[error("{key} must be {rule}")]
    Bounds {
        /// The key.
        key: &'static str,
        /// What it may be.
        rule: &'static str,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 5,
            queue: 100,
            default_shell: "sh".to_owned(),
            region: "local".to_owned(),
            availability_zone: String::new(),
            environment: BTreeMap::new(),
            grace_seconds: 5,
            on_interrupt: OnInterrupt::Fail,
            keep: Keep::HeadAndTail,
            output_bytes: 100 * 1024 * 1024,
            quota_bytes: 1024 * 1024 * 1024,
            quota_entries: 20_000,
            download_bytes: 512 * 1024 * 1024,
            github_url: "https://github.com".to_owned(),
            objects: Objects::default(),
            packages: Packages::default(),
            update: Update::default(),
            docker: Docker::default(),
        }
    }
}

impl Settings {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// If there is anything in it that would not be obeyed.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: path.to_owned(),
            source,
        })?;
        let settings: Self = toml::from_str(&text).map_err(|source| SettingsError::Syntax {
            path: path.to_owned(),
            source,
        })?;
        settings.check()?;
        Ok(settings)
    }

    /// The settings as a file that `load` reads back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("numbers, texts and one map of texts always have a TOML form")
    }

    fn check(&self) -> Result<(), SettingsError> {
        let rules = [
            ("concurrency", (1..=50).contains(&self.concurrency), "from 1 to 50"),
            ("queue", (1..=10_000).contains(&self.queue), "from 1 to 10000"),
            (
                "default_shell",
                !self.default_shell.is_empty(),
                "the name or the absolute path of a program",
            ),
            ("grace_seconds", self.grace_seconds <= 300, "from 0 to 300"),
            ("output_bytes", self.output_bytes >= 2 * 1024 * 1024, "at least 2097152"),
            ("quota_bytes", self.quota_bytes >= 1024 * 1024, "at least 1048576"),
            ("quota_entries", self.quota_entries >= 100, "at least 100"),
            ("download_bytes", self.download_bytes >= 1024 * 1024, "at least 1048576"),
            (
                "github_url",
                ["https://", "http://", "file:///"]
                    .iter()
                    .any(|start| self.github_url.starts_with(start)),
                "a URL of https, http or file",
            ),
            (
                "objects.url",
                self.objects.is_known(),
                "empty, or start with file:///, http:// or https://",
            ),
            (
                "packages.url",
                is_store(&self.packages.url),
                "empty, http://…, https://…, file:///… or an absolute path",
            ),
            (
                "packages.keys",
                self.packages.keys.iter().all(|key| key.parse::<PublicKey>().is_ok()),
                "a list of public keys, 32 bytes in base64 each",
            ),
            (
                "update.confirm_seconds",
                (5..=3600).contains(&self.update.confirm_seconds),
                "from 5 to 3600",
            ),
            (
                "docker.program",
                !self.docker.program.is_empty(),
                "the name or the absolute path of a program",
            ),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, rule)) => Err(SettingsError::Bounds { key, rule }),
            None => Ok(()),
        }
    }
}

/// What the package store may be.
fn is_store(url: &str) -> bool {
    let prefixes = ["http://", "https://", "file:///", "/"];
    url.is_empty()
        || prefixes
            .iter()
            .any(|prefix| url.starts_with(prefix) && url.len() > prefix.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        fs::write(&path, text).unwrap();
        Settings::load(&path)
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(load("").unwrap(), Settings::default());
    }

    #[test]
    fn settings_survive_their_own_form() {
        let settings = Settings {
            environment: BTreeMap::from([("HTTP_PROXY".into(), "http://x \"quoted\"".into())]),
            on_interrupt: OnInterrupt::Repeat,
            keep: Keep::Head,
            packages: Packages {
                url: "https://packages.example.org/muster".into(),
                ..Packages::default()
            },
            ..Settings::default()
        };
        assert_eq!(load(&settings.to_toml()).unwrap(), settings);
    }

    #[test]
    fn what_would_not_be_obeyed_is_refused() {
        assert!(matches!(load("concurency = 3"), Err(SettingsError::Syntax { .. })));
        for (text, key) in [
            ("concurrency = 0", "concurrency"),
            ("concurrency = 51", "concurrency"),
            ("grace_seconds = 301", "grace_seconds"),
            ("[packages]\nurl = \"ftp://x\"", "packages.url"),
            ("[packages]\nkeys = [\"short\"]", "packages.keys"),
            ("[update]\nconfirm_seconds = 4", "update.confirm_seconds"),
        ] {
            assert!(
                matches!(load(text), Err(SettingsError::Bounds { key: found, .. }) if found == key),
                "{text}"
            );
        }
        assert!(matches!(
            Settings::load(Path::new("/no/such")),
            Err(SettingsError::Read { .. })
        ));
    }
}
