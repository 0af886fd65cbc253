//! `muster access roles`.

use clap::Subcommand;
use muster_proto::access::v1::{CreateRoleRequest, DeleteRoleRequest, ListRolesRequest, ListRolesResult, Role};

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
    /// List roles (the default).
    List(ListArguments),
    /// Make a role; nodes in it may do nothing yet.
    Create {
        /// Its name.
        name: String,
        #[command(flatten)]
        tags: TagArguments,
    },
    /// Delete a role on which nothing hangs.
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
    let mut request = ListRolesRequest::default();
    let mut roles: Vec<Role> = Vec::new();
    loop {
        let page = answer("Access.ListRoles", server.access().list_roles(request.clone()).await)?;
        roles.extend(page.roles);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    if wanted.json {
        let result = ListRolesResult {
            roles,
            next_token: None,
        };
        print::data(&shape::pretty(&shape::json(
            "muster.access.v1.ListRolesResult",
            &result,
        )))?;
    } else if roles.is_empty() {
        print::say("no roles");
    } else {
        let mut table = Table::new(&["NAME", "ARN", "CREATED", "TAGS"]);
        for role in &roles {
            table.row([
                role.role_name().to_owned(),
                role.arn().to_owned(),
                shape::time(role.create_date.as_ref()),
                tags_in_line(&role.tags),
            ]);
        }
        print::data(&table.text())?;
    }
    Ok(Exit::Success)
}

async fn create(name: String, tags: TagArguments, server: &Server) -> Result<Exit, Complaint> {
    let request = CreateRoleRequest {
        role_name: Some(name),
        tags: tags.in_contract(),
    };
    let made = answer("Access.CreateRole", server.access().create_role(request).await)?;
    print::say(made.role.unwrap_or_default().arn());
    Ok(Exit::Success)
}

async fn delete(name: String, server: &Server) -> Result<Exit, Complaint> {
    let request = DeleteRoleRequest { role_name: Some(name) };
    answer("Access.DeleteRole", server.access().delete_role(request).await)?;
    Ok(Exit::Success)
}
