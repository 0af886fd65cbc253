//! `muster audit`: the audit log, shown, checked, exported and shortened.

mod export;
mod list;
mod verify;

use clap::Subcommand;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::server::ServerArguments;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List decisions and reads of secrets, the newest first.
    List(list::Arguments),
    /// List who read, changed or asked for a parameter, the newest first.
    Parameters(list::ParameterArguments),
    /// Go through the whole log, or an exported file, and say whether it is what was written.
    Verify(verify::Arguments),
    /// Write the log into a file that can be checked by itself.
    Export(export::ExportArguments),
    /// Remove from the log what was exported into a file; the file's last hash stays as the anchor.
    Truncate(export::TruncateArguments),
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    match arguments.verb {
        Verb::List(arguments) => list::run(arguments, &server.connect().await?).await,
        Verb::Parameters(arguments) => list::run(arguments.into(), &server.connect().await?).await,
        Verb::Verify(arguments) => verify::run(arguments, server).await,
        Verb::Export(arguments) => export::export(arguments, &server.connect().await?).await,
        Verb::Truncate(arguments) => export::truncate(arguments, server).await,
    }
}
