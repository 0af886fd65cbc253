//! What would keep the server from serving a fleet: one line per check, with the fix.

use std::fmt;
use std::time::Duration;

use async_nats::Client;
use muster_credential::layout::{ACCOUNTS, Account};
use muster_credential::{MAX_CONTROL_LINE, MAX_PAYLOAD};
use serde::Deserialize;
use serde_json::Value;

use super::Ground;
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;

/// The most that clocks may differ, in milliseconds: claims that begin in the future are refused.
const CLOCK_MS: i64 = 1_000;
/// Services, operators, simulated nodes of a test: what connects besides nodes.
const OTHERS: u64 = 50;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Check {
    name: &'static str,
    detail: String,
    /// What to do; nothing if all is well.
    fix: Option<String>,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.fix.is_some() { "FAIL" } else { "ok  " };
        write!(f, "{word}  {:17}  {}", self.name, self.detail)?;
        match &self.fix {
            Some(fix) => write!(f, "; fix: {fix}"),
            None => Ok(()),
        }
    }
}

fn check(name: &'static str, is_good: bool, detail: String, fix: &str) -> Check {
    Check {
        name,
        detail,
        fix: (!is_good).then(|| fix.to_owned()),
    }
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Server {
    now: String,
    version: String,
    max_payload: u64,
    max_control_line: u64,
    max_connections: u64,
    connections: u64,
    tls_required: bool,
}

pub(super) async fn run(ground: &Ground, nodes: Option<u64>) -> Result<Exit, Complaint> {
    let before = now_ms();
    let answer = ask(&ground.system, "$SYS.REQ.SERVER.PING.VARZ", "").await?;
    let half_way = (before + now_ms()) / 2;
    let server: Server = serde_json::from_value(answer["data"].clone()).unwrap_or_default();
    let mut checks = server_checks(&server, half_way, nodes, ground.chosen.tls);
    checks.push(resolver(&ground.system).await);
    checks.extend(accounts(ground).await);
    let streams = ask(
        &ground.system,
        "$SYS.REQ.SERVER.PING.JSZ",
        r#"{"accounts":true,"streams":true,"config":true}"#,
    )
    .await?;
    checks.push(consumers(
        &streams["data"],
        ground.keys.account(Account::Muster).public().as_str(),
    ));
    let mut text = String::new();
    for check in &checks {
        text.push_str(&format!("{check}\n"));
    }
    print::data(&text)?;
    Ok(match checks.iter().all(|check| check.fix.is_none()) {
        true => Exit::Success,
        false => Exit::Failed,
    })
}

async fn ask(system: &Client, subject: &'static str, payload: &'static str) -> Result<Value, Complaint> {
    let answer = system
        .request(subject, payload.into())
        .await
        .map_err(|error| Complaint::Broken(error.into()))?;
    serde_json::from_slice(&answer.payload).map_err(|error| Complaint::Broken(error.into()))
}

/// What can be told from the server's own word.
fn server_checks(server: &Server, now_ms: i64, nodes: Option<u64>, tls: bool) -> Vec<Check> {
    let mut checks = Vec::new();
    let (major, minor) = version(&server.version);
    checks.push(check(
        "version",
        (major, minor) >= (2, 10),
        server.version.clone(),
        "install nats-server 2.10 or newer",
    ));
    let offset = server
        .now
        .parse::<muster_model::Timestamp>()
        .map(|time| now_ms - time.as_millisecond());
    checks.push(match offset {
        Ok(offset) => check(
            "clock",
            offset.abs() <= CLOCK_MS,
            format!(
                "{:+.3} s from the server's",
                Duration::from_millis(offset.unsigned_abs()).as_secs_f64() * offset.signum() as f64
            ),
            "set both clocks (timedatectl set-ntp true): claims from the future are refused",
        ),
        Err(_) => check(
            "clock",
            false,
            "the server does not tell its time".to_owned(),
            "see the server's log",
        ),
    });
    let least = |name, found: u64, least: u64, key: &str| {
        check(
            name,
            found >= least,
            found.to_string(),
            &format!("set {key} to {least} or more in the server's configuration"),
        )
    };
    checks.push(least(
        "max_control_line",
        server.max_control_line,
        MAX_CONTROL_LINE as u64,
        "max_control_line",
    ));
    checks.push(least(
        "max_payload",
        server.max_payload,
        MAX_PAYLOAD as u64,
        "max_payload",
    ));
    let fleet = nodes.unwrap_or(server.connections);
    let needed = fleet.saturating_add(fleet.div_ceil(5)).saturating_add(OTHERS);
    let mut connections = least("max_connections", server.max_connections, needed, "max_connections");
    connections.detail = format!("{} for {fleet} nodes", server.max_connections);
    checks.push(connections);
    checks.push(check(
        "tls",
        server.tls_required || !tls,
        if server.tls_required {
            "required"
        } else {
            "not required"
        }
        .to_owned(),
        "give the server the section tls that `muster init` wrote",
    ));
    checks
}

/// A server that keeps accounts in its configuration does not list them, and cannot be told of a revocation.
async fn resolver(system: &Client) -> Check {
    let fix =
        "set resolver { type: full, … } as `muster init` writes it: revocations must reach the server while it runs";
    match system.request("$SYS.REQ.CLAIMS.LIST", Vec::new().into()).await {
        Ok(_) => check("resolver", true, "full: accounts can be pushed".to_owned(), ""),
        Err(_) => check("resolver", false, "accounts cannot be pushed".to_owned(), fix),
    }
}

/// Whether the server has the accounts as this version knows them.
async fn accounts(ground: &Ground) -> Vec<Check> {
    let mut checks = Vec::new();
    for account in ACCOUNTS {
        let state = super::push::is_up_to_date(&ground.system, &ground.keys, account).await;
        let (is_good, detail) = match state {
            Ok(true) => (true, format!("{} is as it should be", account.name())),
            Ok(false) => (false, format!("{} is not as it should be", account.name())),
            Err(error) => (false, crate::complaint::chain(&error)),
        };
        checks.push(check("account", is_good, detail, "muster nats push"));
    }
    checks
}

/// A stream that does not say how many consumers it may have stops at a thousand (fleet 8).
fn consumers(jetstream: &Value, account: &str) -> Check {
    let none = Vec::new();
    let accounts = jetstream["account_details"].as_array().unwrap_or(&none);
    let own = accounts
        .iter()
        .filter(|each| each["id"] == account || each["name"] == account);
    let streams = own.flat_map(|each| each["stream_detail"].as_array().cloned().unwrap_or_default());
    let (mut count, mut limited) = (0, Vec::new());
    for stream in streams {
        count += 1;
        if stream["config"]["max_consumers"].as_i64().unwrap_or(-1) <= 0 {
            limited.push(stream["name"].as_str().unwrap_or_default().to_owned());
        }
    }
    match limited.is_empty() {
        true => check("max_consumers", true, format!("{count} streams"), ""),
        false => check(
            "max_consumers",
            false,
            format!("{} would stop at 1000 consumers", limited.join(", ")),
            "make the stream with an explicit max_consumers",
        ),
    }
}

fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn now_ms() -> i64 {
    use muster_model::Clock as _;
    muster_model::SystemClock.now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server() -> Server {
        Server {
            now: "1970-01-01T00:00:10Z".to_owned(),
            version: "2.15.1".to_owned(),
            max_payload: MAX_PAYLOAD as u64,
            max_control_line: MAX_CONTROL_LINE as u64,
            max_connections: 1_250,
            connections: 3,
            tls_required: false,
        }
    }

    fn failed(server: &Server, now_ms: i64, nodes: Option<u64>, tls: bool) -> Vec<&'static str> {
        let checks = server_checks(server, now_ms, nodes, tls);
        checks
            .iter()
            .filter(|check| check.fix.is_some())
            .map(|check| check.name)
            .collect()
    }

    #[test]
    fn each_weakness_is_found_by_its_own_check() {
        assert_eq!(failed(&server(), 10_900, Some(1_000), false), [""; 0]);
        assert_eq!(failed(&server(), 11_001, None, false), ["clock"]);
        assert_eq!(failed(&server(), 8_999, None, false), ["clock"]);
        assert_eq!(failed(&server(), 10_000, Some(1_001), false), ["max_connections"]);
        assert_eq!(failed(&server(), 10_000, None, true), ["tls"]);
        let weak = Server {
            max_payload: 1 << 20,
            max_control_line: 4096,
            version: "2.9.25".to_owned(),
            ..server()
        };
        assert_eq!(
            failed(&weak, 10_000, None, false),
            ["version", "max_control_line", "max_payload"]
        );
    }

    #[test]
    fn a_stream_without_a_limit_of_its_own_is_named() {
        let jetstream = |limit: Value| {
            json!({"account_details": [
                {"id": "AOTHER", "stream_detail": [{"name": "X", "config": {"max_consumers": -1}}]},
                {"id": "AOWN", "stream_detail": [{"name": "EVENTS", "config": {"max_consumers": limit}}]},
            ]})
        };
        assert_eq!(consumers(&jetstream(json!(5_000)), "AOWN").fix, None);
        let found = consumers(&jetstream(json!(-1)), "AOWN");
        assert!(
            found.fix.is_some() && found.detail.contains("EVENTS") && !found.detail.contains('X'),
            "{found}"
        );
    }

    #[test]
    fn a_line_says_what_and_what_to_do() {
        let line = check("clock", false, "+9.000 s".to_owned(), "set it").to_string();
        assert_eq!(line, "FAIL  clock              +9.000 s; fix: set it");
    }
}
