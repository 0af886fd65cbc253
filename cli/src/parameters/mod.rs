//! `muster parameters`: named values with versions. Secrets never come from the command line, which process lists show.

mod diff;
mod history;
mod list;
mod secret;
mod tags;
mod transfer;
mod tree;
mod value;
mod watch;

use clap::Subcommand;
use muster_proto::Word;
use muster_proto::parameterstore::v1::{ParameterTier, ParameterType};

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::pair::{self, Pair};
use crate::server::ServerArguments;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the value of a parameter.
    Get {
        /// The parameter's name; `NAME:3` and `NAME:label` mean one version.
        name: String,
        /// Print a SecureString in clear.
        #[arg(long)]
        decrypt: bool,
        /// Print the public API's JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a parameter, or a new version of one with --overwrite.
    Put(Box<value::PutArguments>),
    /// List parameters, without their values.
    Ls(list::Arguments),
    /// Show the hierarchy of names.
    Tree {
        /// Only what is below this path.
        #[arg(default_value = "/")]
        path: String,
    },
    /// List the versions of a parameter, without their values.
    History {
        /// The parameter's name.
        name: String,
        /// Print the public API's JSON, with the values; SecureStrings stay encrypted.
        #[arg(long)]
        json: bool,
    },
    /// Put labels on a version of a parameter, or take them off.
    Label {
        /// The parameter's name.
        name: String,
        /// The labels.
        #[arg(required = true)]
        labels: Vec<String>,
        /// The version; without it, the latest.
        #[arg(long)]
        version: Option<i64>,
        /// Take them off that version.
        #[arg(long, requires = "version")]
        remove: bool,
    },
    /// Show the tags of a parameter.
    Tags {
        /// The parameter's name.
        name: String,
    },
    /// Set tags of a parameter; others stay.
    Tag {
        /// The parameter's name.
        name: String,
        /// The tags.
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = pair::pair)]
        tags: Vec<Pair>,
    },
    /// Take tags off a parameter.
    Untag {
        /// The parameter's name.
        name: String,
        /// The tags' keys.
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Show the difference between two versions, or two parameters.
    Diff {
        /// A parameter; `NAME:3` and `NAME:label` mean one version. Alone: its latest version, against the one before.
        left: String,
        /// Another one.
        right: Option<String>,
        /// Compare SecureStrings in clear.
        #[arg(long)]
        decrypt: bool,
    },
    /// Print changes of parameters below a path, as they happen.
    Watch {
        /// The path.
        #[arg(default_value = "/", value_parser = watch::path)]
        path: String,
        /// Print each event as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete parameters with all their versions.
    Rm {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Print all parameters below a path as JSON that `import` reads.
    Export {
        /// The path.
        #[arg(default_value = "/")]
        path: String,
        /// Print SecureStrings in clear too; without it they are left out.
        #[arg(long)]
        decrypt: bool,
    },
    /// Make parameters from what `export` printed.
    Import {
        /// The JSON; `-` reads the standard input.
        file: String,
        /// Make parameters that exist what the file says, in new versions; without it they are left alone.
        #[arg(long)]
        overwrite: bool,
    },
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    match arguments.verb {
        Verb::Get { name, decrypt, json } => value::get(name, decrypt, json, &server.connect().await?).await,
        // The value is asked for before the connection: a person takes time.
        Verb::Put(arguments) => value::put(*arguments, server).await,
        Verb::Ls(arguments) => list::run(arguments, &server.connect().await?).await,
        Verb::Tree { path } => tree::run(&path, &server.connect().await?).await,
        Verb::History { name, json } => history::run(name, json, &server.connect().await?).await,
        Verb::Label {
            name,
            labels,
            version,
            remove,
        } => history::label(name, labels, version, remove, &server.connect().await?).await,
        Verb::Tags { name } => tags::show(name, &server.connect().await?).await,
        Verb::Tag { name, tags } => {
            let tags = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
            tags::add(name, tags, &server.connect().await?).await?;
            Ok(Exit::Success)
        }
        Verb::Untag { name, keys } => {
            tags::remove(name, keys, &server.connect().await?).await?;
            Ok(Exit::Success)
        }
        Verb::Diff { left, right, decrypt } => diff::run(left, right, decrypt, &server.connect().await?).await,
        Verb::Watch { path, json } => watch::run(&path, json, &server.connect().await?).await,
        Verb::Rm { names } => list::remove(names, &server.connect().await?).await,
        Verb::Export { path, decrypt } => transfer::export(&path, decrypt, &server.connect().await?).await,
        Verb::Import { file, overwrite } => transfer::import(&file, overwrite, server).await,
    }
}

fn parameter_type(text: &str) -> Result<ParameterType, String> {
    ParameterType::from_word(text).ok_or_else(|| format!("expected one of {}", ParameterType::WORDS.join(", ")))
}

fn tier(text: &str) -> Result<ParameterTier, String> {
    ParameterTier::from_word(text).ok_or_else(|| format!("expected one of {}", ParameterTier::WORDS.join(", ")))
}
