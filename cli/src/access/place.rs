//! Where the tables of access and their key file are: in a data directory, or where the caller says.

use std::path::{Path, PathBuf};

use muster_access::Settings;
use muster_boot::Common;
use muster_model::Account;

use crate::complaint::Complaint;
use crate::place;

/// The service, as it is called everywhere.
const NAME: &str = "muster-access";

/// Which tables are meant. Only who can read and write them can do what needs them.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TablesArguments {
    /// The data directory of a `muster up`, running or not.
    #[arg(long, value_name = "DIR", help = format!("The data directory of a `muster up`, running or not [default: {}]", place::DEFAULT_DATA_DIR))]
    data_dir: Option<PathBuf>,
    /// The tables of another service: sqlite:<path> or postgres://…
    ///
    /// Set the variable and not the flag where there is a password in it: process lists show flags.
    #[arg(long, value_name = "URL", env = "MUSTER_ACCESS_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Its key file.
    #[arg(long, value_name = "FILE", env = "MUSTER_ACCESS_KEY_FILE")]
    key_file: Option<PathBuf>,
}

/// Tables that are there.
#[derive(Debug)]
pub(crate) struct Tables {
    /// What ARNs are made of.
    pub(crate) account: Account,
    pub(crate) settings: Settings,
    /// Never printed: it may hold a password.
    pub(crate) database_url: String,
}

impl TablesArguments {
    /// Whether the caller named tables; otherwise a running server may be meant.
    pub(crate) fn are_named(&self) -> bool {
        self.data_dir.is_some() || self.database.is_some() || self.key_file.is_some()
    }

    /// Finds them.
    pub(crate) fn find(&self) -> Result<Tables, Complaint> {
        match (&self.data_dir, &self.database, &self.key_file) {
            (None, Some(url), Some(key_file)) => {
                let (common, mut settings) = load(None)?;
                settings.key_file.clone_from(key_file);
                return Ok(Tables {
                    account: common.account,
                    settings,
                    database_url: url.clone(),
                });
            }
            (None, Some(_), None) | (None, None, Some(_)) => {
                return Err(Complaint::Usage {
                    what: "the tables and their key file belong together".to_owned(),
                    hint: "name them with --database and --key-file, or a data directory with --data-dir".to_owned(),
                });
            }
            _ => {}
        }
        let root = self.data_dir.clone().unwrap_or_else(place::default_data_dir);
        if !database(&root).parent().is_some_and(Path::is_dir) {
            return Err(Complaint::Usage {
                what: format!("{} is no data directory of a `muster up`", root.display()),
                hint: "start `muster up` there once, or name the tables with --database and --key-file".to_owned(),
            });
        }
        let file = root.join(format!("{NAME}.toml"));
        let (common, settings) = load(file.is_file().then_some(file.as_path()))?;
        Ok(Tables {
            account: common.account,
            settings: in_folder(settings, &root),
            database_url: format!("sqlite:{}", database(&root).display()),
        })
    }
}

fn load(file: Option<&Path>) -> Result<(Common, Settings), Complaint> {
    muster_boot::load(muster_access::DEFAULTS, file).map_err(|source| Complaint::Local {
        what: format!("the settings of {NAME} cannot be used"),
        source: source.into(),
    })
}

fn database(root: &Path) -> PathBuf {
    root.join("services").join(format!("{NAME}.db"))
}

/// A key file without a folder is in the data directory.
pub(crate) fn in_folder(mut settings: Settings, root: &Path) -> Settings {
    settings.key_file = root.join(&settings.key_file);
    settings
}
