//! `muster access users`.

use clap::Subcommand;
use muster_proto::access::v1::{CreateUserRequest, DeleteUserRequest, ListUsersRequest, ListUsersResult, User};

use super::{TagArguments, answer, tags_in_line};
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::server::Server;
use crate::table::Table;
use crate::{print, shape};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, clap::Args)]
struct ListArguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List users (the default).
    List(ListArguments),
    /// Make a user, who may do nothing yet.
    Create {
        /// Its name.
        name: String,
        #[command(flatten)]
        tags: TagArguments,
    },
    /// Delete a user on which nothing hangs.
    Delete {
        /// Its name.
        name: String,
    },
}

pub(super) async fn run(arguments: Arguments, server: &Server) -> Result<Exit, Complaint> {
    match arguments.verb.unwrap_or(Verb::List(arguments.list)) {
        Verb::List(wanted) => list(wanted, server).await,
        Verb::Create { name, tags } => create(name, tags, server).await,
        Verb::Delete { name } => delete(name, server).await,
    }
}

async fn list(wanted: ListArguments, server: &Server) -> Result<Exit, Complaint> {
    let mut request = ListUsersRequest::default();
    let mut users: Vec<User> = Vec::new();
    loop {
        let page = answer("Access.ListUsers", server.access().list_users(request.clone()).await)?;
        users.extend(page.users);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    if wanted.json {
        let result = ListUsersResult {
            users,
            next_token: None,
        };
        print::data(&shape::pretty(&shape::json(
            "muster.access.v1.ListUsersResult",
            &result,
        )))?;
    } else if users.is_empty() {
        print::say("no users");
    } else {
        let mut table = Table::new(&["NAME", "ARN", "CREATED", "TAGS"]);
        for user in &users {
            table.row([
                user.user_name().to_owned(),
                user.arn().to_owned(),
                shape::time(user.create_date.as_ref()),
                tags_in_line(&user.tags),
            ]);
        }
        print::data(&table.text())?;
    }
    Ok(Exit::Success)
}

async fn create(name: String, tags: TagArguments, server: &Server) -> Result<Exit, Complaint> {
    let request = CreateUserRequest {
        user_name: Some(name),
        tags: tags.in_contract(),
    };
    let made = answer("Access.CreateUser", server.access().create_user(request).await)?;
    print::say(made.user.unwrap_or_default().arn());
    Ok(Exit::Success)
}

async fn delete(name: String, server: &Server) -> Result<Exit, Complaint> {
    let request = DeleteUserRequest { user_name: Some(name) };
    answer("Access.DeleteUser", server.access().delete_user(request).await)?;
    Ok(Exit::Success)
}
