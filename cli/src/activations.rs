//! `muster activations`: by which machines become nodes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use muster_credential::work::{KeyChain, WorkKeys};
use muster_model::{Clock, SystemClock};
use muster_proto::aws::v1::Tag;
use muster_proto::fleet::v1::{
    Activation, CreateActivationRequest, DeleteActivationRequest, DescribeActivationsRequest, DescribeActivationsResult,
};

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::install_line::{self, Download, Place};
use crate::pair::{self, Pair};
use crate::server::{Server, ServerArguments};
use crate::table::Table;
use crate::{print, shape};

/// The role that is there unless somebody has set others.
const ROLE: &str = "SSMServiceRole";
/// Largest page of the operation.
const PAGE: i32 = 50;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make one, and print the line that makes a machine a node. The code is shown this once.
    Create(Box<CreateArguments>),
    /// List them, the newest first (the default).
    Ls {
        /// Print the public API's JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete some. Nodes that registered with them stay.
    Rm {
        /// The activations' ids.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
struct CreateArguments {
    /// How many machines may register.
    #[arg(long, default_value_t = 1, value_name = "N")]
    limit: i32,
    /// For how many hours, at most 720.
    #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=720))]
    hours: u32,
    /// The role of the nodes.
    #[arg(long, default_value = ROLE)]
    role: String,
    /// What the nodes are called.
    #[arg(long)]
    name: Option<String>,
    /// What it is for.
    #[arg(long)]
    description: Option<String>,
    /// A tag of the nodes; may be repeated.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair::pair)]
    tags: Vec<Pair>,
    /// The bus as machines reach it, where that is another address than this program's.
    #[arg(long, value_name = "tls://HOST:PORT")]
    node_server: Option<String>,
    /// The gateway as machines reach it: they register there, over HTTPS, and need neither a ticket nor the bus' address.
    #[arg(long, value_name = "https://HOST", conflicts_with_all = ["node_server", "ticket"])]
    gateway: Option<String>,
    /// The authority of the gateway's certificate (PEM), where it is not one that machines trust.
    #[arg(long, value_name = "FILE", requires = "gateway")]
    gateway_ca: Option<PathBuf>,
    /// Where a bare machine gets the agent, a .deb or the program itself: the line gets and starts it as well.
    #[arg(long, value_name = "https://…", value_parser = https)]
    agent: Option<String>,
    /// SHA-256 of that file, which the line checks.
    #[arg(long, value_name = "HEX", requires = "agent", value_parser = sha256)]
    agent_sha256: Option<String>,
    /// The bootstrap ticket, for a bus that lets in nobody without credentials; without it, the file `boot.ticket`
    /// beside the .creds file with which this program asks.
    #[arg(long, value_name = "FILE")]
    ticket: Option<PathBuf>,
    /// The file keys.json with the keys that sign work, which the line tells machines: then they need not believe the bus
    /// even once. Without it, the file `work/keys.json` of the folder in which the .creds file lies, where it can be read.
    #[arg(long, value_name = "FILE")]
    work_keys: Option<PathBuf>,
    /// Print the public API's JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    match arguments.verb.unwrap_or(Verb::Ls { json: false }) {
        Verb::Create(wanted) => create(*wanted, server).await,
        Verb::Ls { json } => list(json, &server.connect().await?).await,
        Verb::Rm { ids } => remove(ids, &server.connect().await?).await,
    }
}

async fn create(wanted: CreateArguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    let bus = server.bus()?;
    // `muster init` puts it beside the credentials of people.
    let beside = bus.credentials.with_file_name("boot.ticket");
    let is_there = !bus.credentials.as_os_str().is_empty() && beside.is_file();
    let file = wanted.ticket.or_else(|| is_there.then_some(beside));
    let ticket = file.as_deref().map(ticket).transpose()?;
    let has_authority = !bus.ca.as_os_str().is_empty();
    let authority = has_authority.then(|| install_line::authority(&bus.ca)).transpose()?;
    let gateway_authority = wanted.gateway_ca.as_deref().map(install_line::authority).transpose()?;
    let work_keys = work_keys(wanted.work_keys.as_deref(), &bus.credentials)?;
    let address = wanted.node_server.unwrap_or(bus.url);
    let end = SystemClock.now() + Duration::from_secs(u64::from(wanted.hours) * 60 * 60);
    let request = CreateActivationRequest {
        iam_role: Some(wanted.role),
        registration_limit: Some(wanted.limit),
        default_instance_name: wanted.name,
        description: wanted.description,
        expiration_date: Some(prost_types::Timestamp {
            seconds: end.as_second(),
            nanos: end.subsec_nanosecond(),
        }),
        tags: wanted.tags.into_iter().map(tag).collect(),
        registration_metadata: Vec::new(),
    };
    let answer = server.connect().await?.fleet().create_activation(request).await;
    let made = answer
        .map_err(|status| Complaint::answered("Fleet.CreateActivation", status))?
        .into_inner();
    if wanted.json {
        print::data(&shape::pretty(&shape::json(
            "muster.fleet.v1.CreateActivationResult",
            &made,
        )))?;
        return Ok(Exit::Success);
    }
    let place = match &wanted.gateway {
        Some(url) => Place::Gateway {
            url,
            authority: gateway_authority,
        },
        None => Place::Bus {
            address: &address,
            ticket,
            authority,
        },
    };
    let download = wanted.agent.as_deref().map(|url| Download {
        url,
        sha256: wanted.agent_sha256.as_deref(),
    });
    print::say(match download {
        Some(_) => "the code is shown this once; on each machine:",
        None => "the code is shown this once; on each machine, with the agent installed:",
    });
    if matches!(&place, Place::Bus { address, authority: None, .. } if install_line::is_in_clear(address)) {
        print::say(
            "the way to this bus is not encrypted: machines elsewhere refuse it without --insecure; name another address \
             with --node-server, or the bus' authority with --ca",
        );
    }
    print::data(&install_line::line(
        &made,
        &place,
        work_keys.as_ref(),
        download.as_ref(),
    ))?;
    Ok(Exit::Success)
}

/// The keys that sign work: of the file that was named, or of the folder that `muster init` made, if it may be read.
fn work_keys(named: Option<&Path>, credentials: &Path) -> Result<Option<WorkKeys>, Complaint> {
    let beside = credentials
        .parent()
        .and_then(Path::parent)
        .map(|folder| folder.join("work/keys.json"));
    let Some(path) = named.map(Path::to_owned).or(beside) else {
        return Ok(None);
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) if named.is_none() => return Ok(None),
        Err(source) => {
            let path = path.display().to_string();
            return Err(Complaint::Read { path, source });
        }
    };
    let chain = KeyChain::parse(&text).map_err(|error| Complaint::Usage {
        what: format!("{} cannot be used: {error}", path.display()),
        hint: "name the file work/keys.json that `muster init` made".to_owned(),
    })?;
    Ok(Some(chain.at(SystemClock.now().as_second()).clone()))
}

fn tag(Pair { key, value }: Pair) -> Tag {
    Tag {
        key: Some(key),
        value: Some(value),
    }
}

fn https(text: &str) -> Result<String, String> {
    match text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()) {
        true => Ok(text.to_owned()),
        false => Err("machines get the agent over https:// only".to_owned()),
    }
}

fn sha256(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("64 hexadecimal digits are a SHA-256".to_owned()),
    }
}

/// The claims in a file that holds nothing else, or in a .creds file.
fn ticket(path: &Path) -> Result<String, Complaint> {
    let text = std::fs::read_to_string(path).map_err(|source| Complaint::Read {
        path: path.display().to_string(),
        source,
    })?;
    let claims = text
        .lines()
        .skip_while(|line| !line.contains("BEGIN NATS USER JWT"))
        .nth(1)
        .map(|line| line.trim().to_owned());
    let plain = Some(text.trim()).filter(|text| text.split('.').count() == 3 && !text.contains(char::is_whitespace));
    let claims = claims.or_else(|| plain.map(str::to_owned));
    claims
        .filter(|claims| !claims.is_empty())
        .ok_or_else(|| Complaint::Usage {
            what: format!("{} holds no ticket", path.display()),
            hint: "name the file boot.ticket that `muster init` made".to_owned(),
        })
}

async fn list(json: bool, server: &Server) -> Result<Exit, Complaint> {
    let mut request = DescribeActivationsRequest {
        max_results: Some(PAGE),
        ..DescribeActivationsRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let answer = server.fleet().describe_activations(request.clone()).await;
        let page = answer
            .map_err(|status| Complaint::answered("Fleet.DescribeActivations", status))?
            .into_inner();
        all.extend(page.activation_list);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    if json {
        let result = DescribeActivationsResult {
            activation_list: all,
            next_token: None,
        };
        print::data(&shape::pretty(&shape::json(
            "muster.fleet.v1.DescribeActivationsResult",
            &result,
        )))?;
    } else if all.is_empty() {
        print::say("no activations");
    } else {
        print::data(&table(&all))?;
    }
    Ok(Exit::Success)
}

fn table(all: &[Activation]) -> String {
    let mut table = Table::new(&["ID", "NAME", "ROLE", "USED", "ENDS", "TAGS"]);
    for each in all {
        let tags = each.tags.iter().map(|tag| format!("{}={}", tag.key(), tag.value()));
        let ends = match each.expired() {
            true => "expired".to_owned(),
            false => shape::time(each.expiration_date.as_ref()),
        };
        table.row([
            each.activation_id().to_owned(),
            each.default_instance_name().to_owned(),
            each.iam_role().to_owned(),
            format!("{} of {}", each.registrations_count(), each.registration_limit()),
            ends,
            tags.collect::<Vec<_>>().join(" "),
        ]);
    }
    table.text()
}

async fn remove(ids: Vec<String>, server: &Server) -> Result<Exit, Complaint> {
    for id in ids {
        let request = DeleteActivationRequest {
            activation_id: Some(id),
        };
        let answer = server.fleet().delete_activation(request).await;
        answer.map_err(|status| Complaint::answered("Fleet.DeleteActivation", status))?;
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_comes_encrypted_and_with_a_whole_hash() {
        assert!(https("https://a/b").is_ok() && https("http://a/b").is_err() && https("https://").is_err());
        assert!(sha256(&"aB".repeat(32)).is_ok_and(|hash| hash == "ab".repeat(32)));
        assert!(sha256("ab").is_err() && sha256(&"g".repeat(64)).is_err());
    }

    #[test]
    fn a_ticket_is_the_claims_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boot.creds");
        std::fs::write(
            &path,
            "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\nSEED\n",
        )
        .unwrap();
        assert_eq!(ticket(&path).unwrap(), "a.b.c");
        std::fs::write(&path, "d.e.f\n").unwrap();
        assert_eq!(ticket(&path).unwrap(), "d.e.f");
        std::fs::write(&path, "nothing").unwrap();
        assert!(matches!(ticket(&path), Err(Complaint::Usage { .. })));
    }

    #[test]
    fn the_table_says_how_far_each_is_used_up() {
        let activation = Activation {
            activation_id: Some("0f8fad5b-d9cb-469f-a165-70867728950e".to_owned()),
            default_instance_name: Some("web".to_owned()),
            iam_role: Some(ROLE.to_owned()),
            registration_limit: Some(10),
            registrations_count: Some(3),
            expired: Some(true),
            tags: vec![tag(Pair {
                key: "Role".to_owned(),
                value: "web".to_owned(),
            })],
            ..Activation::default()
        };
        let expected = "\
ID                                    NAME  ROLE            USED     ENDS     TAGS
0f8fad5b-d9cb-469f-a165-70867728950e  web   SSMServiceRole  3 of 10  expired  Role=web
";
        assert_eq!(table(&[activation]), expected);
    }
}
