//! `muster nodes`: who is there, and their tags.

use clap::Subcommand;
use muster_proto::Word as _;
use muster_proto::aws::v1::{
    AddTagsToResourceRequest, ListTagsForResourceRequest, RemoveTagsFromResourceRequest, ResourceTypeForTagging, Tag,
};
use muster_proto::fleet::v1::{
    ApproveNodeRequest, DescribeInstanceInformationRequest, DescribeInstanceInformationResult, InstanceInformation,
    InstanceInformationStringFilter, ListConcernsRequest, NodeConcern, RotateKeyRequest,
};
use muster_wire::{Reason, Refusal};
use serde_json::Value;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::pair::{self, Choice, Pair};
use crate::server::{Server, ServerArguments};
use crate::table::Table;
use crate::{print, shape};

const DESCRIBE: &str = "Fleet.DescribeInstanceInformation";
/// Largest page of the operation.
const PAGE: i32 = 50;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, clap::Args)]
struct ListArguments {
    /// Only nodes that match: PingStatus=Online, PlatformTypes=Linux, tag:Role=web,db; may be repeated.
    #[arg(long = "filter", value_name = "KEY=VALUE[,VALUE…]", value_parser = pair::choice)]
    filters: Vec<Choice>,
    /// Print the public API's JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List nodes (the default).
    List(ListArguments),
    /// Show a node with its tags.
    Show {
        /// The node's id.
        #[arg(value_name = "ID")]
        node: String,
        /// Print the public API's JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let a machine be a node that has changed, or whose place it takes; without an id, list who asks.
    Approve {
        /// The node's id.
        #[arg(value_name = "ID")]
        node: Option<String>,
        /// Which machine: what it shows, and the list too. Compare the two.
        #[arg(
            long,
            value_name = "HEX",
            requires = "node",
            default_value = "",
            hide_default_value = true
        )]
        fingerprint: String,
    },
    /// Have a node take another key; it does so as soon as it is there.
    RotateKey {
        /// The node's id.
        #[arg(value_name = "ID")]
        node: String,
    },
    /// Set tags of a node.
    Tag {
        /// The node's id.
        #[arg(value_name = "ID")]
        node: String,
        /// The tags.
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = pair::pair)]
        tags: Vec<Pair>,
    },
    /// Remove tags of a node.
    Untag {
        /// The node's id.
        #[arg(value_name = "ID")]
        node: String,
        /// The tags' keys.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    match arguments.verb.unwrap_or(Verb::List(arguments.list)) {
        Verb::List(wanted) => list(wanted, &server.connect().await?).await,
        Verb::Show { node, json } => show(node, json, &server.connect().await?).await,
        Verb::Approve {
            node: Some(node),
            fingerprint,
        } => approve(node, fingerprint, &server.connect().await?).await,
        Verb::Approve { node: None, .. } => concerns(&server.connect().await?).await,
        Verb::RotateKey { node } => rotate_key(node, &server.connect().await?).await,
        Verb::Tag { node, tags } => tag(node, tags, &server.connect().await?).await,
        Verb::Untag { node, keys } => untag(node, keys, &server.connect().await?).await,
    }
}

async fn list(wanted: ListArguments, server: &Server) -> Result<Exit, Complaint> {
    let filters = wanted.filters.into_iter().map(|filter| (filter.key, filter.values));
    let nodes = describe(server, filters.collect()).await?;
    if wanted.json {
        let result = DescribeInstanceInformationResult {
            instance_information_list: nodes,
            next_token: None,
        };
        let name = "muster.fleet.v1.DescribeInstanceInformationResult";
        print::data(&shape::pretty(&shape::json(name, &result)))?;
    } else if nodes.is_empty() {
        print::say("no nodes");
    } else {
        print::data(&table(&nodes))?;
    }
    Ok(Exit::Success)
}

/// All nodes that match all filters.
pub(crate) async fn describe(
    server: &Server,
    filters: Vec<(String, Vec<String>)>,
) -> Result<Vec<InstanceInformation>, Complaint> {
    let mut request = DescribeInstanceInformationRequest {
        filters: filters
            .into_iter()
            .map(|(key, values)| InstanceInformationStringFilter { key: Some(key), values })
            .collect(),
        max_results: Some(PAGE),
        ..DescribeInstanceInformationRequest::default()
    };
    let mut nodes = Vec::new();
    loop {
        let answer = server.fleet().describe_instance_information(request.clone()).await;
        let page = answer
            .map_err(|status| Complaint::answered(DESCRIBE, status))?
            .into_inner();
        nodes.extend(page.instance_information_list);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(nodes);
        }
    }
}

/// What a person calls the node: its name, else its machine's, else its id.
pub(crate) fn called(node: &InstanceInformation) -> &str {
    let names = [&node.name, &node.computer_name, &node.instance_id];
    let mut given = names.into_iter().flatten().filter(|name| !name.is_empty());
    given.next().map_or("", String::as_str)
}

fn table(nodes: &[InstanceInformation]) -> String {
    let mut table = Table::new(&["ID", "NAME", "STATUS", "PLATFORM", "AGENT", "ADDRESS", "LAST PING"]);
    for node in nodes {
        let platform = [node.platform_name(), node.platform_version()].join(" ");
        table.row([
            node.instance_id().to_owned(),
            called(node).to_owned(),
            node.ping_status().word().to_owned(),
            platform.trim().to_owned(),
            node.agent_version().to_owned(),
            node.ip_address().to_owned(),
            shape::time(node.last_ping_date_time.as_ref()),
        ]);
    }
    table.text()
}

async fn show(id: String, json: bool, server: &Server) -> Result<Exit, Complaint> {
    let found = describe(server, vec![("InstanceIds".to_owned(), vec![id.clone()])]).await?;
    let Some(node) = found.into_iter().next() else {
        let refusal = Refusal::new(Reason::InvalidInstanceId, format!("there is no node {id}"));
        return Err(Complaint::answered(DESCRIBE, refusal.into()));
    };
    let request = ListTagsForResourceRequest {
        resource_type: Some(ResourceTypeForTagging::ManagedInstance as i32),
        resource_id: Some(id),
    };
    let answer = server.tags().list_tags_for_resource(request).await;
    let tags = answer
        .map_err(|status| Complaint::answered("Tags.ListTagsForResource", status))?
        .into_inner()
        .tag_list;
    let mut value = shape::json("muster.fleet.v1.InstanceInformation", &node);
    if json {
        let tags = tags.iter().map(|tag| shape::json("muster.aws.v1.Tag", tag));
        value["TagList"] = tags.collect();
        print::data(&shape::pretty(&value))?;
    } else {
        print::data(&details(&node, &value, &tags))?;
    }
    Ok(Exit::Success)
}

/// Every member that has a value, and the tags.
fn details(node: &InstanceInformation, value: &Value, tags: &[Tag]) -> String {
    let times = [
        ("LastPingDateTime", &node.last_ping_date_time),
        ("RegistrationDate", &node.registration_date),
        ("LastAssociationExecutionDate", &node.last_association_execution_date),
        (
            "LastSuccessfulAssociationExecutionDate",
            &node.last_successful_association_execution_date,
        ),
    ];
    let mut lines: Vec<(String, String)> = Vec::new();
    for (member, value) in value.as_object().into_iter().flatten() {
        let time = times.iter().find(|(name, _)| name == member);
        let text = match (time, value) {
            (Some((_, time)), _) => shape::time(time.as_ref()),
            (None, Value::String(text)) => text.clone(),
            (None, other) => other.to_string(),
        };
        lines.push((member.clone(), text));
    }
    lines.extend(
        tags.iter()
            .map(|tag| (format!("tag:{}", tag.key()), tag.value().to_owned())),
    );
    let width = lines
        .iter()
        .map(|(member, _)| member.chars().count())
        .max()
        .unwrap_or(0);
    let written = lines.iter().map(|(member, text)| {
        let line = format!("{member:width$}  {text}");
        format!("{}\n", print::harmless(line.trim_end()))
    });
    written.collect()
}

async fn tag(node: String, tags: Vec<Pair>, server: &Server) -> Result<Exit, Complaint> {
    let tags = tags.into_iter().map(|tag| Tag {
        key: Some(tag.key),
        value: Some(tag.value),
    });
    let request = AddTagsToResourceRequest {
        resource_type: Some(ResourceTypeForTagging::ManagedInstance as i32),
        resource_id: Some(node),
        tags: tags.collect(),
    };
    let answer = server.tags().add_tags_to_resource(request).await;
    answer.map_err(|status| Complaint::answered("Tags.AddTagsToResource", status))?;
    Ok(Exit::Success)
}

async fn untag(node: String, keys: Vec<String>, server: &Server) -> Result<Exit, Complaint> {
    let request = RemoveTagsFromResourceRequest {
        resource_type: Some(ResourceTypeForTagging::ManagedInstance as i32),
        resource_id: Some(node),
        tag_keys: keys,
    };
    let answer = server.tags().remove_tags_from_resource(request).await;
    answer.map_err(|status| Complaint::answered("Tags.RemoveTagsFromResource", status))?;
    Ok(Exit::Success)
}

async fn approve(node_id: String, fingerprint: String, server: &Server) -> Result<Exit, Complaint> {
    let request = ApproveNodeRequest { node_id, fingerprint };
    let answer = server.nodes().approve_node(request).await;
    answer.map_err(|status| Complaint::answered("Nodes.ApproveNode", status))?;
    Ok(Exit::Success)
}

async fn rotate_key(node_id: String, server: &Server) -> Result<Exit, Complaint> {
    let answer = server.nodes().rotate_key(RotateKeyRequest { node_id }).await;
    answer.map_err(|status| Complaint::answered("Nodes.RotateKey", status))?;
    Ok(Exit::Success)
}

async fn concerns(server: &Server) -> Result<Exit, Complaint> {
    let answer = server.nodes().list_concerns(ListConcernsRequest {}).await;
    let answer = answer.map_err(|status| Complaint::answered("Nodes.ListConcerns", status))?;
    let concerns = answer.into_inner().concerns;
    if concerns.is_empty() {
        print::say("no node waits for approval");
        return Ok(Exit::Success);
    }
    print::data(&questions(concerns))?;
    Ok(Exit::Success)
}

/// What an operator is asked.
fn questions(concerns: Vec<NodeConcern>) -> String {
    let mut table = Table::new(&["ID", "WHY", "FINGERPRINT", "FROM", "ASKED"]);
    for each in concerns {
        let asked = shape::time(each.time.as_ref());
        table.row([each.node_id, each.concern, each.fingerprint, each.source, asked]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use muster_proto::fleet::v1::PingStatus;

    use super::*;

    fn node() -> InstanceInformation {
        InstanceInformation {
            instance_id: Some("mi-0123456789abcdef0".to_owned()),
            ping_status: Some(PingStatus::Online as i32),
            last_ping_date_time: Some(prost_types::Timestamp {
                seconds: 1_700_000_000,
                nanos: 0,
            }),
            platform_name: Some("Debian GNU/Linux".to_owned()),
            platform_version: Some("13".to_owned()),
            agent_version: Some("0.1.0".to_owned()),
            name: Some("web-1".to_owned()),
            computer_name: Some("host.example".to_owned()),
            ..InstanceInformation::default()
        }
    }

    #[test]
    fn the_table_says_who_is_there() {
        let expected = "\
ID                    NAME   STATUS  PLATFORM             AGENT  ADDRESS  LAST PING
mi-0123456789abcdef0  web-1  Online  Debian GNU/Linux 13  0.1.0  -        2023-11-14 22:13:20Z
";
        assert_eq!(table(&[node()]), expected);
    }

    #[test]
    fn details_have_readable_times_and_the_tags() {
        let value = shape::json("muster.fleet.v1.InstanceInformation", &node());
        let tag = Tag {
            key: Some("Role".to_owned()),
            value: Some("web".to_owned()),
        };
        let expected = "\
InstanceId        mi-0123456789abcdef0
PingStatus        Online
LastPingDateTime  2023-11-14 22:13:20Z
AgentVersion      0.1.0
PlatformName      Debian GNU/Linux
PlatformVersion   13
Name              web-1
ComputerName      host.example
tag:Role          web
";
        assert_eq!(details(&node(), &value, &[tag]), expected);
    }

    #[test]
    fn an_operator_sees_which_machine_asks() {
        let concern = NodeConcern {
            node_id: "mi-0123456789abcdef0".to_owned(),
            concern: "Clone".to_owned(),
            fingerprint: "0123456789abcdef0123".to_owned(),
            source: "192.0.2.7".to_owned(),
            time: node().last_ping_date_time,
        };
        let expected = "\
ID                    WHY    FINGERPRINT           FROM       ASKED
mi-0123456789abcdef0  Clone  0123456789abcdef0123  192.0.2.7  2023-11-14 22:13:20Z
";
        assert_eq!(questions(vec![concern]), expected);
    }

    #[test]
    fn a_node_is_called_by_the_best_name_it_has() {
        let mut node = node();
        assert_eq!(called(&node), "web-1");
        node.name = Some(String::new());
        assert_eq!(called(&node), "host.example");
        node.computer_name = None;
        assert_eq!(called(&node), "mi-0123456789abcdef0");
    }
}
