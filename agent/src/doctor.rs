//! `muster-agent doctor`: what keeps this node from working, one line per check, with the fix (agent.md B10).
//!
//! It looks from outside: at the state directory, the configuration, the network and the services, with a connection of
//! its own. The running agent is not asked and need not run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{ConnectErrorKind, HeaderMap, ServerAddr};
use muster_credential::layout;
use muster_model::{Clock, NodeId, SystemClock};
use muster_proto::agent::v1::{HelloRequest, HelloResult};
use muster_wire::subject;

use crate::daemon::{self, CallError};
use crate::facts;
use crate::policy::{Policy, PolicyError};
use crate::runner;
use crate::settings::{Bus, POLICY_FILE, Settings, WorkSignatures};
use crate::state::StateDir;

/// How long a host or a service may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// A clock that is further off is worth a warning; work is delivered all the same.
const OFFSET: Duration = Duration::from_secs(30);

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    Good,
    /// It works, but not as well as it could.
    Warning,
    Bad,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) finding: Finding,
    /// What was found.
    pub(crate) detail: String,
    /// What to do about it; empty if nothing.
    pub(crate) fix: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.finding {
            Finding::Good => "ok",
            Finding::Warning => "warn",
            Finding::Bad => "FAIL",
        };
        write!(f, "{word:4}  {:13}  {}", self.name, self.detail)?;
        if self.fix.is_empty() {
            return Ok(());
        }
        write!(f, "; fix: {}", self.fix)
    }
}

/// Where to look.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) state: PathBuf,
    /// The configuration file; without one the last good configuration of the state directory is taken.
    pub(crate) config: Option<PathBuf>,
    /// Instead of the configured addresses.
    pub(crate) server: Option<String>,
}

/// Makes all checks. Those that make no sense after another one failed are left out.
pub(crate) async fn examine(place: &Place) -> Vec<Check> {
    let state = StateDir::at(&place.state);
    let mut checks = Vec::new();
    let mut settings = configuration(place, &state, &mut checks);
    daemon::take_registration(&mut settings, &state);
    checks.push(policy(&settings));
    checks.push(agent(&state));
    checks.push(work(&state, &settings));
    let node = identity(&state, &mut checks);
    checks.push(disk(&state, &settings));
    checks.push(execution(&settings, &place.state));
    let server = place.server.as_ref().unwrap_or(&settings.server);
    network(server, node.as_ref(), &settings, &mut checks).await;
    checks
}

fn check(name: &'static str, finding: Finding, detail: impl Into<String>, fix: &str) -> Check {
    Check {
        name,
        finding,
        detail: detail.into(),
        fix: fix.to_owned(),
    }
}

fn good(name: &'static str, detail: impl Into<String>) -> Check {
    check(name, Finding::Good, detail, "")
}

fn bad(name: &'static str, detail: impl Into<String>, fix: &str) -> Check {
    check(name, Finding::Bad, detail, fix)
}

fn configuration(place: &Place, state: &StateDir, checks: &mut Vec<Check>) -> Settings {
    const NAME: &str = "configuration";
    let Some(config) = &place.config else {
        let settings = state.settings();
        checks.push(good(NAME, "the one that the agent took last; --config checks a file"));
        return settings;
    };
    match Settings::load_layers(config, std::env::vars()) {
        Ok(settings) => {
            checks.push(good(NAME, config.display().to_string()));
            settings
        }
        Err(error) => {
            let fix = "correct the file, then `systemctl reload muster-agent`; until then the last good one applies";
            checks.push(bad(NAME, one_line(&daemon::describe(&error)), fix));
            state.settings()
        }
    }
}

fn policy(settings: &Settings) -> Check {
    const NAME: &str = "policy";
    match Policy::of(settings) {
        Ok(policy) if policy == Policy::default() => good(NAME, "nothing is forbidden"),
        Ok(_) => good(NAME, settings.policy_file.display().to_string()),
        Err(error @ PolicyError::Read { .. }) => {
            let fix = format!("make the file readable, or take policy_file out of the configuration for {POLICY_FILE}");
            bad(NAME, format!("nothing runs: {error}"), &fix)
        }
        Err(error) => {
            let fix = "correct the policy; it is read for every run";
            bad(NAME, one_line(&format!("nothing runs: {error}")), fix)
        }
    }
}

fn agent(state: &StateDir) -> Check {
    const NAME: &str = "agent";
    let is_running = match state.occupy() {
        Ok(held) => held.is_none(),
        Err(error) => {
            let detail = format!("cannot look at {:?}: {error}", state.root());
            return bad(NAME, detail, "run doctor as root, or give --state-dir");
        }
    };
    let report = state.report().unwrap_or_default();
    match (is_running, report.refuses_work) {
        (false, _) => bad(NAME, "not running", "systemctl start muster-agent"),
        (true, Some(reason)) => {
            let fix = "free the disk, or raise quota_bytes or quota_entries";
            bad(NAME, format!("takes no new work: {reason}"), fix)
        }
        (true, None) => good(NAME, format!("running, version {}", report.version)),
    }
}

/// Whose work is carried out, and whether somebody else has tried.
fn work(state: &StateDir, settings: &Settings) -> Check {
    const NAME: &str = "work";
    let keys = match state.work_keys() {
        Ok(keys) => keys,
        Err(error) => {
            let fix = "restore work-keys.json from a backup, or register the machine again with --force";
            return bad(NAME, format!("work-keys.json cannot be used: {error}"), fix);
        }
    };
    let report = state.report().unwrap_or_default();
    if let Some(why) = report.distrust {
        let detail = format!("{} messages were not obeyed; the last: {why}", report.distrusted);
        let fix = "find out who sends over the bus; nothing of it has run";
        return bad(NAME, detail, fix);
    }
    let warn = |detail: &str, fix: &str| check(NAME, Finding::Warning, detail, fix);
    match (settings.work_signatures, keys) {
        (WorkSignatures::Off, _) => warn(
            "whatever comes over the bus is carried out",
            "take work_signatures out of the configuration",
        ),
        (WorkSignatures::Pinned, None) => warn(
            "the coordinator signs nothing: whatever comes over the bus is carried out",
            "set work_keys_folder for fan-out",
        ),
        (WorkSignatures::Required, None) => bad(
            NAME,
            "nothing runs: signatures are required and no keys are pinned",
            "let work_signatures be \"pinned\" until this node has been told the keys",
        ),
        (_, Some(keys)) => {
            let names: Vec<&str> = keys.keys().iter().map(muster_credential::PublicKey::as_str).collect();
            good(NAME, format!("signed by {} only", names.join(" or ")))
        }
    }
}

fn identity(state: &StateDir, checks: &mut Vec<Check>) -> Option<NodeId> {
    const NAME: &str = "identity";
    match state.known_identity() {
        Ok(Some(identity)) => match identity.node {
            Some(node) => {
                checks.push(good(NAME, node.to_string()));
                Some(node)
            }
            None => {
                let fix = "let the agent reach its server: it registers by itself";
                checks.push(bad(NAME, "this machine is not registered yet", fix));
                None
            }
        },
        Ok(None) => {
            let detail = format!("there is no agent's state in {:?}", state.root());
            checks.push(bad(NAME, detail, "start the agent once, or give --state-dir"));
            None
        }
        Err(error) => {
            let fix = "restore node.json from a backup, or remove it to register as a new node";
            checks.push(bad(NAME, format!("node.json cannot be used: {error}"), fix));
            None
        }
    }
}

fn disk(state: &StateDir, settings: &Settings) -> Check {
    const NAME: &str = "disk";
    const LOW: u64 = 32 * 1024 * 1024;
    let system = match rustix::fs::statvfs(state.root()) {
        Ok(system) => system,
        Err(error) => return bad(NAME, format!("{:?}: {error}", state.root()), "make the state directory"),
    };
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let quota = settings.quota_on(system.f_blocks.saturating_mul(system.f_frsize));
    let used = state.report().unwrap_or_default().disk;
    let detail = format!(
        "{} MiB free; the state takes {} of {} MiB and {} of {} entries",
        free >> 20,
        used.bytes >> 20,
        quota >> 20,
        used.entries,
        settings.quota_entries
    );
    // Some file systems count no inodes.
    let has_inodes = system.f_files == 0 || system.f_favail > 1_000;
    match (free >= LOW, has_inodes) {
        (true, true) => good(NAME, detail),
        (false, _) => bad(NAME, detail, "free at least 32 MiB"),
        (true, false) => bad(NAME, format!("{detail}; hardly any inodes are left"), "remove files"),
    }
}

fn execution(settings: &Settings, state: &Path) -> Check {
    const NAME: &str = "execution";
    if let Err(error) = runner::try_shell(settings) {
        let fix = "set default_shell and run_as to a program and a user of this machine";
        return bad(NAME, error, fix);
    }
    let is_noexec =
        rustix::fs::statvfs(state).is_ok_and(|system| system.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC));
    match is_noexec {
        true => good(
            NAME,
            "the state directory is noexec; scripts run all the same, interpreters read them",
        ),
        false => good(NAME, format!("{} starts", settings.default_shell)),
    }
}

async fn network(server: &str, node: Option<&NodeId>, settings: &Settings, checks: &mut Vec<Check>) {
    if server.is_empty() {
        let fix = "set `server` in the configuration";
        return checks.push(bad("server", "nobody said where to connect to", fix));
    }
    let servers = match daemon::servers(server) {
        Ok(servers) => servers,
        Err(error) => return checks.push(bad("server", error.to_string(), "write it as tls://host:4222")),
    };
    if let Err(error) = settings.nats.check(&servers) {
        return checks.push(bad(
            "server",
            error.to_string(),
            "write `server` as tls://host:4222, or name the authority; the agent does not start before",
        ));
    }
    let mut is_reachable = false;
    for server in &servers {
        is_reachable |= reach(server, checks).await;
    }
    if !is_reachable {
        return;
    }
    let Some(client) = connect(servers, &settings.nats, node, checks).await else {
        return;
    };
    let Some(node) = node else { return };
    let question = HelloRequest {
        facts: Some(facts::collect(settings)),
        ..HelloRequest::default()
    };
    let subject = subject::rpc(node, subject::RPC_HELLO);
    let asked = SystemClock.now();
    let answer: Result<HelloResult, CallError> = daemon::call(&client, subject, HeaderMap::new(), &question).await;
    match answer {
        Ok(answer) => {
            checks.push(good("registration", "the service knows this node"));
            checks.push(clock(asked, SystemClock.now(), &answer));
        }
        Err(error) if error.is_final() => {
            let fix = "register the machine again: stop the agent, remove node.json, start the agent";
            checks.push(bad("registration", error.to_string(), fix));
        }
        Err(error) => {
            let fix = "see whether the fleet service runs; the agent keeps asking";
            checks.push(bad("registration", error.to_string(), fix));
        }
    }
}

/// Whether a server's name resolves and its port takes connections.
async fn reach(server: &ServerAddr, checks: &mut Vec<Check>) -> bool {
    let (host, port) = (server.host().to_owned(), server.port());
    let found = tokio::time::timeout(ANSWER, tokio::net::lookup_host((host.as_str(), port))).await;
    let addresses: Vec<_> = match found {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            let fix = "correct the name in `server`, or this machine's name service (/etc/resolv.conf, /etc/hosts)";
            checks.push(bad("name", format!("{host} does not resolve: {error}"), fix));
            return false;
        }
        Err(_) => {
            let fix = "see whether the name servers of /etc/resolv.conf answer";
            checks.push(bad("name", format!("{host}: no answer"), fix));
            return false;
        }
    };
    let all: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    checks.push(good("name", format!("{host} is {}", all.join(", "))));
    let connecting = tokio::net::TcpStream::connect(addresses.as_slice());
    let error = match tokio::time::timeout(ANSWER, connecting).await {
        Ok(Ok(_)) => {
            checks.push(good("tcp", format!("{host}:{port} takes connections")));
            return true;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    let fix = "start the server, or open the way to it in the firewall (outgoing TCP only)";
    checks.push(bad("tcp", format!("{host}:{port}: {error}"), fix));
    false
}

/// Connects as the agent does: TLS and credentials in one go.
async fn connect(
    servers: Vec<ServerAddr>,
    credentials: &Bus,
    node: Option<&NodeId>,
    checks: &mut Vec<Check>,
) -> Option<async_nats::Client> {
    let is_encrypted = !credentials.ca.as_os_str().is_empty()
        || servers.iter().all(|server| ["tls", "wss"].contains(&server.scheme()));
    let name = node.map_or("boot", NodeId::as_str);
    if let Err(error) = credentials.node(node) {
        let fix = "correct `credentials` in the section [nats], or register the machine again";
        checks.push(bad("credentials", chain(&error), fix));
        return None;
    }
    let options = credentials
        .options(&servers)
        .name(format!("muster-agent doctor {name}"))
        .custom_inbox_prefix(layout::node_inbox(name))
        .connection_timeout(ANSWER)
        .request_timeout(Some(ANSWER));
    let error = match options.connect(servers).await {
        Ok(client) => {
            checks.push(match is_encrypted {
                true => good("tls", "the server's certificate is good"),
                false => check(
                    "tls",
                    Finding::Warning,
                    "the connection is not encrypted",
                    "write `server` as tls://host:4222 where the server has a certificate",
                ),
            });
            checks.push(good("credentials", "the server takes them"));
            return Some(client);
        }
        Err(error) => error,
    };
    checks.push(match error.kind() {
        ConnectErrorKind::Tls => {
            let fix = "give this machine the authority of the server's certificate, or correct the name in `server`";
            bad("tls", chain(&error), fix)
        }
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            let fix = "register the machine again, or have its credentials renewed";
            bad("credentials", chain(&error), fix)
        }
        _ => bad("nats", chain(&error), "see whether this is a NATS server, and its log"),
    });
    None
}

fn clock(asked: muster_model::Timestamp, answered: muster_model::Timestamp, answer: &HelloResult) -> Check {
    const NAME: &str = "clock";
    let Some(time) = &answer.service_time else {
        return good(NAME, "the service did not tell its time");
    };
    let half_way = (asked.as_microsecond() + answered.as_microsecond()) / 2;
    let service = time.seconds.saturating_mul(1_000_000) + i64::from(time.nanos) / 1_000;
    let offset_us = half_way - service;
    let detail = format!(
        "{:+.3} s from the service's",
        Duration::from_micros(offset_us.unsigned_abs()).as_secs_f64() * offset_us.signum() as f64
    );
    match Duration::from_micros(offset_us.unsigned_abs()) > OFFSET {
        true => check(
            NAME,
            Finding::Warning,
            detail,
            "set the clock (timedatectl set-ntp true); work runs all the same",
        ),
        false => good(NAME, detail),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    one_line(&text)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use muster_model::Timestamp;

    use super::*;

    #[test]
    fn a_line_says_what_and_what_to_do() {
        assert_eq!(good("tcp", "open").to_string(), "ok    tcp            open");
        assert_eq!(
            bad("agent", "not running", "start it").to_string(),
            "FAIL  agent          not running; fix: start it"
        );
    }

    #[test]
    fn a_clock_is_measured_from_half_way() {
        let second = |second| Timestamp::from_second(second).unwrap();
        let answer = |seconds| HelloResult {
            service_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            ..HelloResult::default()
        };
        assert_eq!(clock(second(100), second(102), &answer(101)).finding, Finding::Good);
        let off = clock(second(100), second(102), &answer(101 + 86_400));
        assert_eq!(off.finding, Finding::Warning);
        assert!(off.detail.starts_with("-86400.000 s"), "{}", off.detail);
    }
}
