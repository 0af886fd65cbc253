//! `muster access bootstrap`: the first access key.

use muster_access::bootstrap::{BootstrapError, root_key};

use super::place::TablesArguments;
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The access key is printed once, as a credentials file of AWS has it: keep it, or `--replace` it.
In containers the service makes it itself: docker compose exec access muster-access bootstrap")]
pub(super) struct Arguments {
    #[command(flatten)]
    tables: TablesArguments,
    /// Make a new access key for root, and end the old ones.
    #[arg(long)]
    replace: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, Complaint> {
    let tables = arguments.tables.find()?;
    let made = root_key(
        &tables.account,
        &tables.settings,
        &tables.database_url,
        arguments.replace,
    )
    .await;
    let key = made.map_err(|error| match error {
        BootstrapError::Done => Complaint::Local {
            what: "nothing was done".to_owned(),
            source: error.into(),
        },
        error => Complaint::Local {
            what: "no access key was made".to_owned(),
            source: error.into(),
        },
    })?;
    print::data(&format!("{key}\n"))?;
    print::say(&format!(
        "this is the only time that the secret is shown; {} may do everything",
        key.arn
    ));
    Ok(Exit::Success)
}
