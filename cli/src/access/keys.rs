//! `muster access keys`.

use clap::Subcommand;
use muster_proto::Word as _;
use muster_proto::access::v1::{
    AccessKeyMetadata, AccessKeyStatus, CreateAccessKeyRequest, DeleteAccessKeyRequest, ListAccessKeysRequest,
    ListAccessKeysResult, UpdateAccessKeyRequest,
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
    /// Only those of this user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List access keys, without their secrets (the default).
    List(ListArguments),
    /// Make an access key and print it, with its secret, this once.
    Create {
        /// The user.
        user: String,
    },
    /// Switch an access key on again.
    Activate {
        /// Its id.
        id: String,
    },
    /// Switch an access key off; it ends within five seconds.
    Deactivate {
        /// Its id.
        id: String,
    },
    /// Delete an access key; it ends within five seconds.
    Delete {
        /// Its id.
        id: String,
    },
}

pub(super) async fn run(arguments: Arguments, server: &Server) -> Result<Exit, Complaint> {
    match arguments.verb.unwrap_or(Verb::List(arguments.list)) {
        Verb::List(wanted) => list(wanted, server).await,
        Verb::Create { user } => create(user, server).await,
        Verb::Activate { id } => update(id, AccessKeyStatus::Active, server).await,
        Verb::Deactivate { id } => update(id, AccessKeyStatus::Inactive, server).await,
        Verb::Delete { id } => {
            let request = DeleteAccessKeyRequest {
                access_key_id: Some(id),
            };
            answer(
                "Access.DeleteAccessKey",
                server.access().delete_access_key(request).await,
            )?;
            Ok(Exit::Success)
        }
    }
}

async fn list(wanted: ListArguments, server: &Server) -> Result<Exit, Complaint> {
    let mut request = ListAccessKeysRequest {
        user_name: wanted.user,
        ..ListAccessKeysRequest::default()
    };
    let mut keys: Vec<AccessKeyMetadata> = Vec::new();
    loop {
        let page = answer(
            "Access.ListAccessKeys",
            server.access().list_access_keys(request.clone()).await,
        )?;
        keys.extend(page.access_keys);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    if wanted.json {
        let result = ListAccessKeysResult {
            access_keys: keys,
            next_token: None,
        };
        print::data(&shape::pretty(&shape::json(
            "muster.access.v1.ListAccessKeysResult",
            &result,
        )))?;
    } else if keys.is_empty() {
        print::say("no access keys");
    } else {
        let mut table = Table::new(&["ID", "USER", "STATUS", "CREATED", "LAST USED"]);
        for key in &keys {
            table.row([
                key.access_key_id().to_owned(),
                key.user_name().to_owned(),
                key.status().word().to_owned(),
                shape::time(key.create_date.as_ref()),
                shape::time(key.last_used_date.as_ref()),
            ]);
        }
        print::data(&table.text())?;
    }
    Ok(Exit::Success)
}

async fn create(user: String, server: &Server) -> Result<Exit, Complaint> {
    let request = CreateAccessKeyRequest { user_name: Some(user) };
    let made = answer(
        "Access.CreateAccessKey",
        server.access().create_access_key(request).await,
    )?;
    let key = made.access_key.unwrap_or_default();
    print::data(&format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.access_key_id(),
        key.secret_access_key()
    ))?;
    print::say("this is the only time that the secret is shown");
    Ok(Exit::Success)
}

async fn update(id: String, status: AccessKeyStatus, server: &Server) -> Result<Exit, Complaint> {
    let request = UpdateAccessKeyRequest {
        access_key_id: Some(id),
        status: Some(status.into()),
    };
    answer(
        "Access.UpdateAccessKey",
        server.access().update_access_key(request).await,
    )?;
    Ok(Exit::Success)
}
