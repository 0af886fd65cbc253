//! `muster nats`: looking after the accounts and keys of a bus (docs/operate/nats.md).

mod accounts;
mod connections;
mod doctor;
pub(crate) mod push;
mod revoke;
mod rotate;
pub(crate) mod watch;
mod work_keys;

use std::path::PathBuf;

use async_nats::Client;
use clap::Subcommand;
use muster_boot::NatsSettings;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::server::ServerArguments;
use crate::trust::{self, Chosen, Keys, TrustError, TrustFolder};

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
    /// Write down the accounts for another operator to sign, whose servers Muster is to use; they are signed with their own
    /// keys, as `nsc import account` takes them.
    Accounts(FolderArgument),
    /// Give the server the accounts as this version of Muster knows them; revocations stay, keys whose time is over go.
    Push(FolderArgument),
    /// Keep the server refusing the keys of nodes that were put out, until Ctrl-C; one place that has the folder runs it.
    Watch(FolderArgument),
    /// Make a certificate by the folder's authority: for a service's port, or for a caller of ports with `client_ca`.
    Certificate {
        /// What it is called; the files in tls/issued/ are, too.
        name: String,
        /// A name or address under which the port is reached; may be repeated. Without it, the certificate is a caller's.
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        #[command(flatten)]
        folder: FolderArgument,
    },
    /// Refuse the key of a service or a person, which cuts off whoever has it, and make other credentials in its file.
    Revoke {
        /// The user: a service as muster-fleet, the operator, or system.
        user: String,
        #[command(flatten)]
        folder: FolderArgument,
    },
    /// Let another key sign nodes; the old one is believed for a week more, and removed by the next push after that.
    RotateScope {
        #[command(flatten)]
        folder: FolderArgument,
        /// The old key has leaked: believe it no longer, which cuts off every node at once. They come back by themselves
        /// with their tickets, once fleet was started anew with the new key.
        #[arg(long)]
        now: bool,
    },
    /// Let another key sign work: nodes are told of it, it signs after five minutes, and later the old one is forgotten.
    RotateWorkKey {
        #[command(flatten)]
        folder: FolderArgument,
        /// For how many days nodes go on to take work of the old key; 0 if it has leaked.
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        keep_days: u32,
    },
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
        Verb::Accounts(folder) => accounts::write(&TrustFolder::at(&folder.folder)),
        Verb::Push(folder) => push::run(&Ground::of(&folder, server).await?).await,
        Verb::Watch(folder) => {
            let ground = Ground::of(&folder, server).await?;
            let bus = ground.connect(watch::USER).await?;
            match watch::Watcher::new(ground.system, bus, ground.keys).keep().await {}
        }
        Verb::RotateWorkKey { folder, keep_days } => work_keys::rotate(&TrustFolder::at(&folder.folder), keep_days),
        Verb::Certificate { name, hosts, folder } => {
            let folder = TrustFolder::at(&folder.folder);
            folder.chosen()?.ok_or_else(|| missing(&folder))?;
            let [certificate, key] = trust::issue(&folder, &name, &hosts)?;
            print::say(&format!("{} with its key {}", certificate.display(), key.display()));
            Ok(Exit::Success)
        }
        Verb::Revoke { user, folder } => {
            let ground = Ground::of(&folder, server).await?;
            Box::pin(revoke::run(ground, &user)).await
        }
        Verb::RotateScope { folder, now } => {
            let ground = Ground::of(&folder, server).await?;
            Box::pin(rotate::run(ground, now)).await
        }
    }
}

/// What the verbs stand on.
#[derive(Debug)]
struct Ground {
    folder: TrustFolder,
    chosen: Chosen,
    keys: Keys,
    /// How to reach the server, as the user that may change accounts.
    settings: NatsSettings,
    /// A connection as that.
    system: Client,
}

impl Ground {
    async fn of(argument: &FolderArgument, server: &ServerArguments) -> Result<Self, Complaint> {
        let folder = TrustFolder::at(&argument.folder);
        let chosen = folder.chosen()?.ok_or_else(|| missing(&folder))?;
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
            // Where the folder says that the server listens whoever made it has said how.
            insecure: server.is_insecure() || (!chosen.tls && server.named().is_none()),
        };
        let system = connect(&settings).await?;
        Ok(Self {
            folder,
            chosen,
            keys,
            settings,
            system,
        })
    }

    /// A connection as another user.
    async fn connect(&self, user: &str) -> Result<Client, Complaint> {
        let settings = NatsSettings {
            credentials: self.folder.creds(user),
            ..self.settings.clone()
        };
        connect(&settings).await
    }
}

fn missing(folder: &TrustFolder) -> TrustError {
    TrustError::Missing {
        path: folder.root().join("trust.json"),
    }
}

async fn connect(settings: &NatsSettings) -> Result<Client, Complaint> {
    let connected = muster_boot::connect_now("muster-nats", settings).await;
    connected.map_err(|source| Complaint::unreachable(settings.clone(), source))
}
