//! The agent's configuration (agent.md B10): TOML, every key optional.
//!
//! Later layers win: the file, the files of the folder beside it (`agent.toml.d/*.toml`, by name), and variables
//! `MUSTER_AGENT__<KEY>` (`MUSTER_AGENT__CONCURRENCY=3`, `MUSTER_AGENT__LIMITS__PROCESSES=500`).

mod bus;
mod layers;
mod limits;
mod not_fitting;
mod work_signatures;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::objects::Objects;
use crate::package::{PublicKey, Trust};
use crate::runner::Keep;

pub use bus::{Bus, CredentialsError, InClear};
pub use limits::Limits;
pub use not_fitting::NotFitting;
pub use work_signatures::WorkSignatures;

/// What the owner of a machine can set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// NATS addresses, separated by commas; read at the start only.
    pub server: String,
    /// The node's name, used when it registers.
    pub name: String,
    /// What is logged: a level, or targets with levels as in "info,async_nats=debug".
    pub log: String,
    /// Document runs at the same time, 1 to 50.
    pub concurrency: u32,
    /// Accepted runs that may wait for their turn; more are refused for the moment. 1 to 10,000.
    pub queue: u32,
    /// Who reads scripts that do not say: a name looked up in the usual directories, or an absolute path.
    pub default_shell: String,
    /// Who reads PowerShell scripts: a name looked up in the usual directories, or an absolute path.
    pub powershell: String,
    /// Whom scripts run as that do not say; empty: whom the agent runs as.
    pub run_as: String,
    /// Whom the input `runAs` of a step may name, besides `run_as`.
    pub run_as_allowed: Vec<String>,
    /// What scripts see as `AWS_SSM_REGION_NAME`.
    pub region: String,
    /// Where the machine stands, as the service shows it.
    pub availability_zone: String,
    /// Seconds between SIGTERM and SIGKILL, 0 to 300.
    pub grace_seconds: u64,
    /// Longest time a step may run on this node, in seconds, 5 to 172,800.
    pub max_timeout_seconds: u64,
    /// Whether background children of a script are ended with it, unless the step's `killOrphans` says otherwise.
    pub kill_orphans: bool,
    /// What happens to a step whose runner died.
    pub on_interrupt: OnInterrupt,
    /// What a reply keeps of a long stream.
    pub keep: Keep,
    /// Longest file of an output stream, in bytes; at least 2 MiB.
    pub output_bytes: u64,
    /// What the state directory may take on the disk, in bytes; absent: 1 GiB or a twentieth of the file system,
    /// whichever is less.
    pub quota_bytes: Option<u64>,
    /// Files and directories that the state directory may have.
    pub quota_entries: u64,
    /// How many days the files of a finished run are kept after its result was confirmed.
    pub retention_days: u32,
    /// What boots the machine when a script asked for it (exit code 194); the first word is the program.
    pub reboot_command: Vec<String>,
    /// How many seconds a reboot waits for other runs to end and for the reply to be confirmed, 0 to 86,400.
    pub reboot_patience_seconds: u64,
    /// A file whose text is another after each boot; absent: the kernel's boot id and the start of process 1.
    pub boot_id_file: Option<PathBuf>,
    /// Where the machine's own files are: another place than `/` for an agent in a container that stands for its host.
    pub host_root: PathBuf,
    /// A control group (version 2) below which steps get groups of their own; absent: the agent's own where the
    /// service manager has delegated it.
    pub cgroup: Option<PathBuf>,
    /// The owner's policy; see `policy`.
    pub policy_file: PathBuf,
    /// Longest download, in bytes; at least 1 MiB.
    pub download_bytes: u64,
    /// Where repositories of the source type `GitHub` are.
    pub github_url: String,
    /// Whether complete outputs are compressed on their way to an S3-compatible service.
    pub gzip_outputs: bool,
    /// Where complete outputs go, and where downloads of the source type `S3` come from.
    pub objects: Objects,
    /// Where packages come from, and whose are taken.
    pub packages: Packages,
    /// How the agent's own updates go.
    pub update: Update,
    /// The program for containers.
    pub docker: Docker,
    /// With what it connects; the names of the files are read at the start only.
    pub nats: Bus,
    /// Whose work is carried out.
    pub work_signatures: WorkSignatures,
    /// Tags of the node, used when it registers.
    pub tags: BTreeMap<String, String>,
    /// Variables for every script.
    pub environment: BTreeMap<String, String>,
    /// Resource limits of every script.
    pub limits: Limits,
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
    /// The text is no TOML.
    #[error("{path:?} is not understood")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: NotFitting,
    },
    /// The layers together have keys that do not exist, or values of another kind.
    #[error("the configuration of {path:?} and what overrides it do not fit")]
    Keys {
        /// The main file.
        path: PathBuf,
        /// Where and why.
        source: NotFitting,
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

/// The policy's usual place.
pub const POLICY_FILE: &str = "/etc/muster-agent/policy.toml";

/// What the state directory may take at most unless the owner says so.
const QUOTA: u64 = 1024 * 1024 * 1024;
/// What names a program.
const A_PROGRAM: &str = "the name or the absolute path of a program";
/// Less than this for a stream's file would lose more than it keeps.
const SMALLEST_OUTPUT: u64 = 2 * 1024 * 1024;

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: String::new(),
            name: String::new(),
            log: "info,async_nats=warn".to_owned(),
            concurrency: 5,
            queue: 100,
            default_shell: "sh".to_owned(),
            powershell: "pwsh".to_owned(),
            run_as: String::new(),
            run_as_allowed: Vec::new(),
            region: "local".to_owned(),
            availability_zone: String::new(),
            grace_seconds: 5,
            max_timeout_seconds: 172_800,
            kill_orphans: false,
            on_interrupt: OnInterrupt::Fail,
            keep: Keep::HeadAndTail,
            output_bytes: 100 * 1024 * 1024,
            quota_bytes: None,
            quota_entries: 20_000,
            retention_days: 7,
            reboot_command: ["shutdown", "-r", "now"].map(str::to_owned).to_vec(),
            reboot_patience_seconds: 300,
            boot_id_file: None,
            host_root: "/".into(),
            cgroup: None,
            policy_file: POLICY_FILE.into(),
            tags: BTreeMap::new(),
            environment: BTreeMap::new(),
            limits: Limits::default(),
            download_bytes: 512 * 1024 * 1024,
            github_url: "https://github.com".to_owned(),
            gzip_outputs: false,
            objects: Objects::default(),
            packages: Packages::default(),
            update: Update::default(),
            docker: Docker::default(),
            nats: Bus::default(),
            work_signatures: WorkSignatures::default(),
        }
    }
}

impl Settings {
    /// Reads and checks one file.
    ///
    /// # Errors
    /// If there is anything in it that would not be obeyed.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let table = layers::file(path)?;
        Self::of_table(table, path)
    }

    /// Reads and checks a file with its folder of additions and the variables among `environment`.
    ///
    /// # Errors
    /// If there is anything in them that would not be obeyed.
    pub fn load_layers(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        Self::of_table(layers::all(path, environment)?, path)
    }

    /// As `load_layers`, with no file at all.
    ///
    /// # Errors
    /// If there is a variable that would not be obeyed.
    pub fn of_environment(environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        let mut table = toml::Table::new();
        layers::override_with(&mut table, environment);
        Self::of_table(table, Path::new("the environment"))
    }

    fn of_table(table: toml::Table, path: &Path) -> Result<Self, SettingsError> {
        let settings: Self = table.try_into().map_err(|error| SettingsError::Keys {
            path: path.to_owned(),
            source: NotFitting::of(&error, ""),
        })?;
        settings.check()?;
        Ok(settings)
    }

    /// The settings as a file that `load` reads back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("numbers, texts, lists and maps of texts always have a TOML form")
    }

    /// What the state directory may take, on a file system of `total` bytes.
    #[must_use]
    pub fn quota_on(&self, total: u64) -> u64 {
        self.quota_bytes.unwrap_or_else(|| QUOTA.min(total / 20))
    }

    /// Longest file of an output stream: as many runs as may run at a time, with two streams each, must fit the quota.
    #[must_use]
    pub fn output_cap(&self) -> u64 {
        let share = self.quota_bytes.unwrap_or(QUOTA) / (2 * u64::from(self.concurrency));
        self.output_bytes.min(share).max(SMALLEST_OUTPUT)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let rules = [
            ("concurrency", (1..=50).contains(&self.concurrency), "from 1 to 50"),
            ("queue", (1..=10_000).contains(&self.queue), "from 1 to 10000"),
            ("default_shell", !self.default_shell.is_empty(), A_PROGRAM),
            ("powershell", !self.powershell.is_empty(), A_PROGRAM),
            ("grace_seconds", self.grace_seconds <= 300, "from 0 to 300"),
            (
                "max_timeout_seconds",
                (5..=172_800).contains(&self.max_timeout_seconds),
                "from 5 to 172800",
            ),
            ("output_bytes", self.output_bytes >= SMALLEST_OUTPUT, "at least 2097152"),
            (
                "quota_bytes",
                self.quota_bytes.is_none_or(|bytes| bytes >= 1024 * 1024),
                "at least 1048576",
            ),
            ("quota_entries", self.quota_entries >= 100, "at least 100"),
            (
                "retention_days",
                (1..=3650).contains(&self.retention_days),
                "from 1 to 3650",
            ),
            (
                "reboot_command",
                self.reboot_command.first().is_some_and(|program| !program.is_empty()),
                "a program and its arguments",
            ),
            (
                "reboot_patience_seconds",
                self.reboot_patience_seconds <= 86_400,
                "from 0 to 86400",
            ),
            (
                "log",
                self.log.parse::<tracing_subscriber::filter::Targets>().is_ok(),
                "a level, or targets with levels",
            ),
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
    use std::fs;

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
            quota_bytes: Some(5 << 20),
            run_as_allowed: vec!["web".into()],
            limits: Limits {
                processes: Some(9),
                ..Limits::default()
            },
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
        assert!(matches!(load("concurency = 3"), Err(SettingsError::Keys { .. })));
        assert!(matches!(
            load("concurrency = \"three\""),
            Err(SettingsError::Keys { .. })
        ));
        assert!(matches!(load("concurrency ="), Err(SettingsError::Syntax { .. })));
        for (text, key) in [
            ("concurrency = 0", "concurrency"),
            ("concurrency = 51", "concurrency"),
            ("grace_seconds = 301", "grace_seconds"),
            ("max_timeout_seconds = 4", "max_timeout_seconds"),
            ("reboot_command = []", "reboot_command"),
            ("log = \"info=loud\"", "log"),
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

    #[test]
    fn a_small_file_system_or_quota_makes_small_shares() {
        let settings = Settings::default();
        assert_eq!(settings.quota_on(1 << 40), 1 << 30);
        assert_eq!(settings.quota_on(1 << 30), (1 << 30) / 20);
        assert_eq!(settings.output_cap(), 100 << 20);
        let small = Settings {
            quota_bytes: Some(100 << 20),
            ..settings
        };
        assert_eq!(small.output_cap(), 10 << 20);
    }
}
