//! `muster nats`: looking after the accounts and keys of a bus (docs/operate/nats.md).

mod doctor;
pub(crate) mod push;
mod rotate;

use std::path::PathBuf;

use async_nats::Client;
use clap::Subcommand;
use muster_boot::NatsSettings;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::server::ServerArguments;
use crate::trust::{Chosen, Keys, TrustError, TrustFolder};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Find out what would keep the server from serving a fleet: one line per check, with the fix.
    Doctor {
        #[command(flatten)]
        folder: FolderArgument,
        /// How many nodes there are to be; without it, as many as are connected now.
        #[arg(long, value_name = "N")]
        nodes: Option<u64>,
    },
    /// Give the server the accounts as this version of Muster knows them; revocations stay, keys whose time is over go.
    Push(FolderArgument),
    /// Let another key sign nodes; the old one is believed for a week more, and removed by the next push after that.
    RotateScope(FolderArgument),
}

#[derive(Debug, clap::Args)]
struct FolderArgument {
    /// What `muster init` made.
    #[arg(default_value = "trust")]
    folder: PathBuf,
}

/// Does what the command line says.
pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    match arguments.verb {
        Verb::Doctor { folder, nodes } => doctor::run(&Ground::of(&folder, server).await?, nodes).await,
        Verb::Push(folder) => push::run(&Ground::of(&folder, server).await?).await,
        Verb::RotateScope(folder) => rotate::run(Ground::of(&folder, server).await?).await,
    }
}

/// What the verbs stand on.
#[derive(Debug)]
struct Ground {
    folder: TrustFolder,
    chosen: Chosen,
    keys: Keys,
    /// A connection as the user that may change accounts.
    system: Client,
}

impl Ground {
    async fn of(argument: &FolderArgument, server: &ServerArguments) -> Result<Self, Complaint> {
        let folder = TrustFolder::at(&argument.folder);
        let chosen = folder.chosen()?.ok_or_else(|| TrustError::Missing {
            path: folder.root().join("trust.json"),
        })?;
        let keys = Keys::load(&folder, &chosen, false)?;
        let (scheme, ca) = match chosen.tls {
            true => ("tls", folder.tls("ca.pem")),
            false => ("nats", PathBuf::new()),
        };
        let listen = chosen.listen.replace("0.0.0.0", "127.0.0.1");
        let settings = NatsSettings {
            url: server
                .named()
                .map_or_else(|| format!("{scheme}://{listen}"), str::to_owned),
            credentials: folder.creds("system"),
            ca,
        };
        let system = muster_boot::connect_now("muster-nats", &settings)
            .await
            .map_err(|source| Complaint::unreachable(settings, source))?;
        Ok(Self {
            folder,
            chosen,
            keys,
            system,
        })
    }
}
