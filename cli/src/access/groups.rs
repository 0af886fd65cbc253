//! `muster access groups`.

use clap::Subcommand;
use muster_proto::access::v1::{
    AddUserToGroupRequest, CreateGroupRequest, DeleteGroupRequest, GetGroupRequest, GetGroupResult, Group,
    ListGroupsRequest, ListGroupsResult, RemoveUserFromGroupRequest,
};

use super::answer;
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
    /// Only groups that this user is in.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List groups (the default).
    List(ListArguments),
    /// Show who is in a group.
    Show {
        /// The group.
        group: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a group.
    Create {
        /// Its name.
        group: String,
    },
    /// Delete a group without users and policies.
    Delete {
        /// Its name.
        group: String,
    },
    /// Put a user into a group.
    Add {
        /// The group.
        group: String,
        /// The user.
        user: String,
    },
    /// Take a user out of a group.
    Remove {
        /// The group.
        group: String,
        /// The user.
        user: String,
    },
}

pub(super) async fn run(arguments: Arguments, server: &Server) -> Result<Exit, Complaint> {
    let mut access = server.access();
    match arguments.verb.unwrap_or(Verb::List(arguments.list)) {
        Verb::List(wanted) => return list(wanted, server).await,
        Verb::Show { group, json } => return show(group, json, server).await,
        Verb::Create { group } => {
            let request = CreateGroupRequest {
                group_name: Some(group),
            };
            let made = answer("Access.CreateGroup", access.create_group(request).await)?;
            print::say(made.group.unwrap_or_default().arn());
        }
        Verb::Delete { group } => {
            let request = DeleteGroupRequest {
                group_name: Some(group),
            };
            answer("Access.DeleteGroup", access.delete_group(request).await)?;
        }
        Verb::Add { group, user } => {
            let request = AddUserToGroupRequest {
                group_name: Some(group),
                user_name: Some(user),
            };
            answer("Access.AddUserToGroup", access.add_user_to_group(request).await)?;
        }
        Verb::Remove { group, user } => {
            let request = RemoveUserFromGroupRequest {
                group_name: Some(group),
                user_name: Some(user),
            };
            answer(
                "Access.RemoveUserFromGroup",
                access.remove_user_from_group(request).await,
            )?;
        }
    }
    Ok(Exit::Success)
}

async fn list(wanted: ListArguments, server: &Server) -> Result<Exit, Complaint> {
    let mut request = ListGroupsRequest {
        user_name: wanted.user,
        ..ListGroupsRequest::default()
    };
    let mut groups: Vec<Group> = Vec::new();
    loop {
        let page = answer("Access.ListGroups", server.access().list_groups(request.clone()).await)?;
        groups.extend(page.groups);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    if wanted.json {
        let result = ListGroupsResult {
            groups,
            next_token: None,
        };
        print::data(&shape::pretty(&shape::json(
            "muster.access.v1.ListGroupsResult",
            &result,
        )))?;
    } else if groups.is_empty() {
        print::say("no groups");
    } else {
        let mut table = Table::new(&["NAME", "ARN", "CREATED"]);
        for group in &groups {
            table.row([
                group.group_name().to_owned(),
                group.arn().to_owned(),
                shape::time(group.create_date.as_ref()),
            ]);
        }
        print::data(&table.text())?;
    }
    Ok(Exit::Success)
}

async fn show(group: String, json: bool, server: &Server) -> Result<Exit, Complaint> {
    let mut request = GetGroupRequest {
        group_name: Some(group),
        ..GetGroupRequest::default()
    };
    let mut all = GetGroupResult::default();
    loop {
        let page = answer("Access.GetGroup", server.access().get_group(request.clone()).await)?;
        all.group = page.group;
        all.users.extend(page.users);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    if json {
        print::data(&shape::pretty(&shape::json("muster.access.v1.GetGroupResult", &all)))?;
    } else if all.users.is_empty() {
        print::say("no users");
    } else {
        let mut table = Table::new(&["USER", "ARN"]);
        for user in &all.users {
            table.row([user.user_name().to_owned(), user.arn().to_owned()]);
        }
        print::data(&table.text())?;
    }
    Ok(Exit::Success)
}
