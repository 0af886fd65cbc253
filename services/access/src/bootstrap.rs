//! The first access key: that of the user `root`, who may do everything.
//!
//! It is made on the tables themselves and not by a call, so that only who holds them and the key file can do it. A
//! service that runs on the same tables meanwhile tells the others.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use muster_boot::{BoxError, Common};
use muster_model::{Account, Clock, SystemClock};
use muster_store::Db;

use crate::domain::access_key::random_id;
use crate::domain::audit::Entry;
use crate::domain::identity::{ROOT, Who};
use crate::domain::secret::Secret;
use crate::store::access_key::NewKey;
use crate::store::{access_key, audit, identity};
use crate::{DATABASE, DEFAULTS, Settings, SettingsError, open_keys};

const ACTION: &str = "muster:Bootstrap";
/// Bad usage or bad settings, as for the services.
const EXIT_USAGE: u8 = 64;

/// Why there is no access key.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// It was made before.
    #[error("there is a root user already; `--replace` makes a new access key for it and ends the old ones")]
    Done,
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The tables or the key file cannot be used.
    #[error("the tables of access cannot be used")]
    Tables(#[source] BoxError),
}

/// The access key of `root`, to be shown once.
#[derive(Debug)]
pub struct RootKey {
    /// `arn:aws:iam::000000000000:user/root`.
    pub arn: String,
    /// `MKIA…`.
    pub access_key_id: String,
    /// Its secret.
    pub secret: Secret,
}

/// Makes `root` of an account and its access key in these tables; with `replace`, a new access key instead of the old ones.
///
/// # Errors
/// If it was done before and is not to be replaced, or the tables or the key file cannot be used.
pub async fn root_key(
    account: &Account,
    settings: &Settings,
    database_url: &str,
    replace: bool,
) -> Result<RootKey, BootstrapError> {
    settings.validate()?;
    let tables = |error: BoxError| BootstrapError::Tables(error);
    let db = Db::open(database_url, DATABASE.schema, DATABASE.migrations)
        .await
        .map_err(|error| tables(error.into()))?;
    let made = on_tables(account, settings, &db, replace).await;
    db.close().await;
    made.map_err(tables)?.ok_or(BootstrapError::Done)
}

async fn on_tables(
    account: &Account,
    settings: &Settings,
    db: &Db,
    replace: bool,
) -> Result<Option<RootKey>, BoxError> {
    let keys = open_keys(db, &settings.key_file).await?;
    let (access_key_id, secret, key) = (random_id(), Secret::random(), keys.current());
    let now = SystemClock.now().as_microsecond();
    let new = NewKey {
        access_key_id: &access_key_id,
        key_id: &key.id,
        secret: &key.seal(&access_key_id, &secret),
        now,
    };
    let arn = account.user(ROOT);
    if !replace && identity::find(db, &Who::user(ROOT)).await?.is_ok() {
        return Ok(None);
    }
    // Before the key is there: there is no key of root without a record.
    let entry = Entry {
        time: now,
        principal: arn.clone(),
        access_key_id: access_key_id.clone(),
        surface: "local".to_owned(),
        action: ACTION.to_owned(),
        resource: arn.clone(),
        decision: "Allow".to_owned(),
        ..Entry::default()
    };
    audit::append(db, &keys, vec![entry]).await?;
    if !access_key::bootstrap(db, &new, replace).await? {
        return Ok(None);
    }
    Ok(Some(RootKey {
        arn,
        access_key_id,
        secret,
    }))
}

/// Makes the first access key, in the tables that the service's own settings name.
#[derive(Debug, Parser)]
#[command(name = "muster-access bootstrap", bin_name = "muster-access bootstrap", version)]
struct Arguments {
    /// File with settings, as for the service.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Make a new access key for root, and end the old ones.
    #[arg(long)]
    replace: bool,
}

/// Does what `muster-access bootstrap` is to do; `None` if the program was called for something else.
#[must_use]
pub fn take(arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments: Vec<OsString> = arguments.collect();
    if arguments.get(1)? != "bootstrap" {
        return None;
    }
    arguments.remove(0);
    Some(run(&Arguments::parse_from(arguments)))
}

fn run(arguments: &Arguments) -> ExitCode {
    let loaded = load(arguments.config.as_deref());
    let (common, settings) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    match runtime.block_on(root_key(
        &common.account,
        &settings,
        &common.database.url,
        arguments.replace,
    )) {
        Ok(key) => {
            say(&key);
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, &error),
    }
}

fn load(file: Option<&Path>) -> Result<(Common, Settings), muster_boot::SettingsError> {
    muster_boot::load(DEFAULTS, file)
}

#[expect(clippy::print_stdout, reason = "the access key is what this command is for")]
fn say(key: &RootKey) {
    println!("{key}");
}

#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    eprintln!("{line}");
    ExitCode::from(code)
}

/// As a credentials file of AWS has it; it is shown once.
impl std::fmt::Display for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (id, secret) = (&self.access_key_id, self.secret.reveal());
        write!(
            f,
            "[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}"
        )
    }
}
