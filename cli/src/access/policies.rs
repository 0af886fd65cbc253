//! `muster access policies`.

use clap::Subcommand;
use muster_proto::access::v1::{
    AttachPolicyRequest, DeletePolicyRequest, DetachPolicyRequest, GetPolicyRequest, ListAttachedPoliciesRequest,
    ListPoliciesRequest, ListPoliciesResult, Policy, PutPolicyRequest,
};

use super::{WhoArguments, answer};
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::server::{Server, ServerArguments};
use crate::table::Table;
use crate::{policy, print, shape};

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
    /// List policies (the default).
    List(ListArguments),
    /// Print the text of a policy.
    Get {
        /// Its name.
        policy: String,
    },
    /// Make a policy, or give it another text.
    Put {
        /// Its name.
        policy: String,
        /// The text; `-` reads the standard input.
        #[arg(long, value_name = "FILE")]
        file: String,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete a policy that nobody has.
    Delete {
        /// Its name.
        policy: String,
    },
    /// Give a policy to a user, a group or a role.
    Attach {
        /// Its name.
        policy: String,
        #[command(flatten)]
        who: WhoArguments,
    },
    /// Take a policy from a user, a group or a role.
    Detach {
        /// Its name.
        policy: String,
        #[command(flatten)]
        who: WhoArguments,
    },
    /// List the policies of a user, a group or a role.
    Of {
        #[command(flatten)]
        who: WhoArguments,
    },
}

pub(super) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    let verb = arguments.verb.unwrap_or(Verb::List(arguments.list));
    // A file that cannot be read is no reason to look for a server.
    if let Verb::Put {
        policy,
        file,
        description,
    } = verb
    {
        let text = policy::read(&file)?;
        return put(policy, text, description, &server.connect().await?).await;
    }
    let server = server.connect().await?;
    let mut access = server.access();
    match verb {
        Verb::List(wanted) => return list(wanted, &server).await,
        Verb::Get { policy } => {
            let request = GetPolicyRequest {
                policy_name: Some(policy),
            };
            let found = answer("Access.GetPolicy", access.get_policy(request).await)?;
            let mut text = found
                .policy
                .and_then(|policy| policy.policy_document)
                .unwrap_or_default();
            if !text.ends_with('\n') {
                text.push('\n');
            }
            print::data(&text)?;
        }
        Verb::Put { .. } => {}
        Verb::Delete { policy } => {
            let request = DeletePolicyRequest {
                policy_name: Some(policy),
            };
            answer("Access.DeletePolicy", access.delete_policy(request).await)?;
        }
        Verb::Attach { policy, who } => {
            let request = AttachPolicyRequest {
                policy_name: Some(policy),
                user_name: who.user,
                group_name: who.group,
                role_name: who.role,
            };
            answer("Access.AttachPolicy", access.attach_policy(request).await)?;
        }
        Verb::Detach { policy, who } => {
            let request = DetachPolicyRequest {
                policy_name: Some(policy),
                user_name: who.user,
                group_name: who.group,
                role_name: who.role,
            };
            answer("Access.DetachPolicy", access.detach_policy(request).await)?;
        }
        Verb::Of { who } => {
            let request = ListAttachedPoliciesRequest {
                user_name: who.user,
                group_name: who.group,
                role_name: who.role,
            };
            let found = answer(
                "Access.ListAttachedPolicies",
                access.list_attached_policies(request).await,
            )?;
            match found.policy_names.is_empty() {
                true => print::say("no policies"),
                false => print::data(&format!("{}\n", found.policy_names.join("\n")))?,
            }
        }
    }
    Ok(Exit::Success)
}

async fn put(name: String, text: String, description: Option<String>, server: &Server) -> Result<Exit, Complaint> {
    let request = PutPolicyRequest {
        policy_name: Some(name),
        policy_document: Some(text),
        description,
    };
    let put = answer("Access.PutPolicy", server.access().put_policy(request).await)?;
    for warning in &put.warnings {
        print::say(&format!("warning: {warning}"));
    }
    print::say(&format!("policy {}", put.policy.unwrap_or_default().policy_name()));
    Ok(Exit::Success)
}

async fn list(wanted: ListArguments, server: &Server) -> Result<Exit, Complaint> {
    let mut request = ListPoliciesRequest::default();
    let mut policies: Vec<Policy> = Vec::new();
    loop {
        let page = answer(
            "Access.ListPolicies",
            server.access().list_policies(request.clone()).await,
        )?;
        policies.extend(page.policies);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    if wanted.json {
        let result = ListPoliciesResult {
            policies,
            next_token: None,
        };
        print::data(&shape::pretty(&shape::json(
            "muster.access.v1.ListPoliciesResult",
            &result,
        )))?;
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["NAME", "BUILT IN", "ATTACHED", "UPDATED", "DESCRIPTION"]);
    for policy in &policies {
        table.row([
            policy.policy_name().to_owned(),
            if policy.built_in() { "yes" } else { "no" }.to_owned(),
            policy.attachment_count().to_string(),
            shape::time(policy.update_date.as_ref()),
            policy.description().to_owned(),
        ]);
    }
    print::data(&table.text())?;
    Ok(Exit::Success)
}
