//! `register`: the first contact of a machine, by an activation.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::Args;
use muster_credential::work::WorkKeys;
use serde::Deserialize;

use super::{StateArguments, tag};
use crate::registration::{self, Code, GatewayUrl, Outcome, Wanted};
use crate::settings::Settings;
use crate::state::StateDir;

/// What `register` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    state: StateArguments,
    /// NATS addresses, separated by commas: tls://host:4222; otherwise `server` of the token file or the configuration.
    #[arg(long, env = "MUSTER_AGENT_SERVER", default_value = "")]
    server: String,
    /// Ask the gateway over HTTPS instead of the bus: https://host, or http://127.0.0.1:8686 on its own machine. It tells
    /// where the bus is.
    #[arg(long, env = "MUSTER_URL", value_name = "URL")]
    url: Option<String>,
    /// The activation's id.
    #[arg(long, env = "MUSTER_ACTIVATION_ID", default_value = "")]
    activation_id: String,
    /// The activation's code; `-` reads it from the standard input, so that it stands in no process list.
    #[arg(
        long,
        env = "MUSTER_ACTIVATION_CODE",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    activation_code: String,
    /// The bootstrap ticket, where the bus asks for one.
    #[arg(long, env = "MUSTER_TICKET", default_value = "", hide_default_value = true)]
    ticket: String,
    /// The keys whose work this machine is to carry out, as `muster activations create` prints them; otherwise those that
    /// the service tells.
    #[arg(long, env = "MUSTER_WORK_KEYS", value_name = "SERIAL:KEY,…")]
    work_keys: Option<WorkKeys>,
    /// The authority of the server's certificate (PEM); otherwise `ca` of the section [nats].
    #[arg(long, env = "MUSTER_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The same certificate as a text, DER in base64; the agent keeps it.
    #[arg(long, env = "MUSTER_CA_CERTIFICATE", value_name = "BASE64", conflicts_with = "ca")]
    ca_certificate: Option<String>,
    /// Ask without encryption although the server is not this machine: the network is private in itself.
    #[arg(long, env = "MUSTER_INSECURE")]
    insecure: bool,
    /// A TOML file with `server`, `url`, `activation_id`, `activation_code`, `ticket` and `work_keys`; `-` is the standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The agent's configuration file (TOML).
    #[arg(long, env = "MUSTER_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// The node's name; otherwise the activation's.
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// A tag as key=value, besides those of the activation, which win; may be repeated.
    #[arg(long = "tag", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// Become another node, even if the service knows this machine.
    #[arg(long)]
    new: bool,
    /// Register again although this machine is registered: its node was put out, or its key is to change.
    #[arg(long)]
    force: bool,
    /// Only forget who this machine is, before an image is made of it.
    #[arg(long, conflicts_with_all = ["new", "force", "token_file"])]
    clear: bool,
    /// How many seconds to try when nobody answers.
    #[arg(long, default_value_t = 60)]
    wait: u64,
}

/// What a token file holds. It is never printed: there is a code in it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Token {
    server: String,
    url: String,
    activation_id: String,
    activation_code: String,
    ticket: String,
    work_keys: String,
}

impl Token {
    fn read(path: &Path) -> Result<Self, String> {
        let text = match path == Path::new("-") {
            true => io::read_to_string(io::stdin()),
            false => std::fs::read_to_string(path),
        };
        let text = text.map_err(|error| format!("cannot read the token file {path:?}: {error}"))?;
        // What the parser has to say would show the text.
        toml::from_str(&text).map_err(|_| {
            format!(
                "{path:?} is no token file: TOML with the texts server, url, activation_id, activation_code, ticket, work_keys is"
            )
        })
    }
}

/// Registers, and says what came of it.
pub(super) fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let state = StateDir::at(&std::path::absolute(&arguments.state.state_dir)?);
    let mut out = io::stdout();
    if arguments.clear {
        registration::clear(&state)?;
        writeln!(out, "this machine is nobody now")?;
        return Ok(());
    }
    let mut settings = match &arguments.config {
        Some(config) => Settings::load_layers(config, std::env::vars())?,
        None => Settings::of_environment(std::env::vars())?,
    };
    let token = match &arguments.token_file {
        Some(path) => Token::read(path)?,
        None => Token::default(),
    };
    let url = arguments.url.or(Some(token.url).filter(|url| !url.is_empty()));
    let url = url.map(|url| GatewayUrl::parse(&url, arguments.insecure)).transpose()?;
    for given in [token.server, arguments.server] {
        if !given.is_empty() {
            settings.server = given;
        }
    }
    if let Some(ca) = arguments.ca {
        settings.nats.ca = std::path::absolute(ca)?;
    }
    if let Some(text) = arguments.ca_certificate {
        state.prepare()?;
        settings.nats.ca = state.keep_authority(&pem(&text)?)?;
    }
    if !arguments.name.is_empty() {
        settings.name = arguments.name;
    }
    settings.tags.extend(arguments.tags);
    let or = |given: String, otherwise: String| if given.is_empty() { otherwise } else { given };
    let code = match arguments.activation_code.as_str() {
        "-" => first_line(io::stdin().lock())?,
        _ => or(arguments.activation_code, token.activation_code),
    };
    let work_keys = match (arguments.work_keys, token.work_keys.as_str()) {
        (Some(keys), _) => Some(keys),
        (None, "") => None,
        (None, text) => {
            let keys = text.parse::<WorkKeys>();
            Some(keys.map_err(|error| format!("work_keys in the token file cannot be used: {error}"))?)
        }
    };
    let wanted = Wanted {
        activation_id: or(arguments.activation_id, token.activation_id),
        code: Code::given(&code),
        ticket: Some(or(arguments.ticket, token.ticket)).filter(|ticket| !ticket.is_empty()),
        url,
        work_keys,
        is_insecure: arguments.insecure,
        as_new: arguments.new,
        is_forced: arguments.force,
        patience: Duration::from_secs(arguments.wait),
    };
    if wanted.activation_id.is_empty() || wanted.code.is_empty() {
        let message = "an activation's id and code are needed: `muster activations create` on the server makes them; \
                       give --activation-id with --activation-code, or --token-file";
        return Err(message.into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(registration::register(&state, &settings, &wanted))? {
        Outcome::Already(node) => {
            writeln!(out, "this machine is node {node} already; --force registers it again")?;
        }
        Outcome::Registered { node, existing: true } => writeln!(out, "this machine is node {node}, as before")?,
        Outcome::Registered { node, existing: false } => writeln!(out, "this machine is node {node} now")?,
    }
    Ok(())
}

/// A certificate in its text form.
fn pem(base64: &str) -> Result<String, String> {
    let der = BASE64_STANDARD.decode(base64.trim());
    let der = der.map_err(|error| format!("--ca-certificate is no base64: {error}"))?;
    // A certificate is a sequence; what else it is the connection shows.
    if der.first() != Some(&0x30) {
        return Err("--ca-certificate is no certificate: its DER form in base64 is".to_owned());
    }
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    Ok(format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    ))
}

fn first_line(mut input: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(line)
}
