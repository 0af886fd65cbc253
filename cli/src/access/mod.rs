//! `muster access`: who there is, and what they may do.

mod bootstrap;
mod groups;
mod keys;
pub(crate) mod place;
mod policies;
mod roles;
mod users;

use clap::Subcommand;
use tonic::{Response, Status};

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
    /// Make the user root, who may do everything, and its access key; on the machine where the tables are.
    Bootstrap(bootstrap::Arguments),
    /// List users; make and delete them.
    Users(users::Arguments),
    /// List groups and who is in them; make, fill and delete them.
    Groups(groups::Arguments),
    /// List the roles that nodes act in; make and delete them.
    Roles(roles::Arguments),
    /// List policies; show, put and delete them; attach them to users, groups and roles.
    Policies(policies::Arguments),
    /// List access keys; make them, switch them off and on, delete them.
    Keys(keys::Arguments),
}

/// Whose policies are meant.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
struct WhoArguments {
    /// A user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A group.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// A role.
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
}

/// Tags that something is made with.
#[derive(Debug, Clone, clap::Args)]
struct TagArguments {
    /// A tag, by which conditions of policies can ask; may be repeated.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair::pair)]
    tags: Vec<Pair>,
}

impl TagArguments {
    fn in_contract(self) -> Vec<muster_proto::aws::v1::Tag> {
        let tags = self.tags.into_iter().map(|tag| muster_proto::aws::v1::Tag {
            key: Some(tag.key),
            value: Some(tag.value),
        });
        tags.collect()
    }
}

/// Tags on one line of a table.
fn tags_in_line(tags: &[muster_proto::aws::v1::Tag]) -> String {
    let pairs: Vec<_> = tags
        .iter()
        .map(|tag| format!("{}={}", tag.key(), tag.value()))
        .collect();
    pairs.join(",")
}

/// The answer, or the complaint that names the operation.
pub(crate) fn answer<T>(operation: &str, answer: Result<Response<T>, Status>) -> Result<T, Complaint> {
    let answer = answer.map_err(|status| Complaint::answered(operation, status))?;
    Ok(answer.into_inner())
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    match arguments.verb {
        Verb::Bootstrap(arguments) => bootstrap::run(arguments).await,
        Verb::Users(arguments) => users::run(arguments, &server.connect().await?).await,
        Verb::Groups(arguments) => groups::run(arguments, &server.connect().await?).await,
        Verb::Roles(arguments) => roles::run(arguments, &server.connect().await?).await,
        Verb::Policies(arguments) => policies::run(arguments, server).await,
        Verb::Keys(arguments) => keys::run(arguments, &server.connect().await?).await,
    }
}
