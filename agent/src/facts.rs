//! What the agent can tell about its machine (agent.md A7).

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::OnceLock;

use muster_proto::agent::v1::NodeFacts;
use rustix::time::{ClockId, clock_gettime};

use crate::journal::Moment;
use crate::settings::Settings;

/// This release's version, `x.y.z`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

static OWN_VERSION: OnceLock<&'static str> = OnceLock::new();

/// Gives the agent another version than this release's, for programs that contain it and count their own.
/// To be called before anything else; later calls change nothing.
pub fn set_version(version: &'static str) {
    let _ = OWN_VERSION.set(version);
}

/// The agent's version.
#[must_use]
pub fn version() -> &'static str {
    OWN_VERSION.get().unwrap_or(&VERSION)
}

/// Abilities beyond the protocol's first version.
pub const CAPABILITIES: &[&str] = &["interpolation-env-var"];

/// The operating system's name and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// "Debian GNU/Linux".
    pub name: String,
    /// "13".
    pub version: String,
}

impl System {
    /// Reads what the system says about itself.
    #[must_use]
    pub fn read() -> Self {
        let text = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let line = text
                .lines()
                .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
            let quote = line.chars().next().filter(|first| matches!(first, '"' | '\''));
            let plain = quote
                .and_then(|quote| line.strip_prefix(quote)?.strip_suffix(quote))
                .unwrap_or(line);
            Some(plain.replace('\\', ""))
        };
        Self {
            name: value("NAME").unwrap_or_else(|| "Linux".to_owned()),
            version: value("VERSION_ID").or_else(|| value("VERSION")).unwrap_or_default(),
        }
    }
}

/// Collects everything.
#[must_use]
pub fn collect(settings: &Settings) -> NodeFacts {
    let system = System::read();
    NodeFacts {
        agent_version: version().to_owned(),
        platform_type: PLATFORM_TYPE.to_owned(),
        platform_name: system.name,
        platform_version: system.version,
        computer_name: computer_name(),
        ip_address: own_address().map(|address| address.to_string()).unwrap_or_default(),
        architecture: std::env::consts::ARCH.to_owned(),
        boot_id: boot_id(settings),
        availability_zone: settings.availability_zone.clone(),
        capabilities: CAPABILITIES.iter().map(|word| (*word).to_owned()).collect(),
    }
}

const PLATFORM_TYPE: &str = if cfg!(target_os = "macos") { "MacOS" } else { "Linux" };

/// Another one after each boot; empty where the system does not tell.
///
/// The kernel's id alone would not tell that a container was started anew; the start of its process 1 does.
#[must_use]
pub fn boot_id(settings: &Settings) -> String {
    if let Some(file) = &settings.boot_id_file {
        let text = fs::read_to_string(file).unwrap_or_default();
        return text.trim().to_owned();
    }
    let kernel = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let first = fs::read_to_string("/proc/1/stat").unwrap_or_default();
    // After the program's name, which may hold blanks, the twentieth number is the moment of the start.
    let start = first
        .rsplit_once(") ")
        .and_then(|(_, numbers)| numbers.split(' ').nth(19));
    format!("{}.{}", kernel.trim(), start.unwrap_or_default())
}

/// What stays the same while the machine does; `None` where the system does not tell.
#[must_use]
pub fn machine_id() -> Option<String> {
    let text = fs::read_to_string("/etc/machine-id").ok()?;
    let text = text.trim();
    (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

/// The present, as deadlines need it.
#[must_use]
pub fn moment(boot_id: &str, now: muster_model::Timestamp) -> Moment {
    let up = clock_gettime(ClockId::Boottime);
    let up_ms = up.tv_sec.unsigned_abs() * 1_000 + up.tv_nsec.unsigned_abs() / 1_000_000;
    Moment {
        boot_id: boot_id.to_owned(),
        up_ms,
        clock_ms: now.as_millisecond(),
    }
}

/// The host's name, with its domain if the hosts file knows it.
fn computer_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    qualified(&host, &hosts)
}

fn qualified(host: &str, hosts: &str) -> String {
    let names = hosts.lines().flat_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().skip(1)
    });
    let with_domain = |name: &&str| name.strip_prefix(host).is_some_and(|rest| rest.starts_with('.'));
    names.into_iter().find(with_domain).unwrap_or(host).to_owned()
}

/// The address this machine would use to reach others, IPv4 preferred. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let towards = |local: &str, remote: &str| {
        let socket = std::net::UdpSocket::bind(local).ok()?;
        // Connecting a datagram socket only looks up the route. The addresses are reserved for documentation.
        socket.connect(remote).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    towards("0.0.0.0:0", "192.0.2.1:9")
        .or_else(|| towards("[::]:0", "[2001:db8::1]:9"))
        .filter(is_usable)
        .or_else(address_without_route)
}

/// The first usable address in the kernel's list of local ones, for machines without a default route.
fn address_without_route() -> Option<IpAddr> {
    let table = fs::read_to_string(Path::new("/proc/net/fib_trie")).ok()?;
    local_addresses(&table).find(is_usable)
}

/// Addresses marked as local in the text of the kernel's routing trie.
fn local_addresses(table: &str) -> impl Iterator<Item = IpAddr> {
    let lines: Vec<&str> = table.lines().collect();
    let pairs: Vec<IpAddr> = lines
        .windows(2)
        .filter(|pair| pair[1].contains("/32 host LOCAL"))
        .filter_map(|pair| pair[0].trim().strip_prefix("|-- ")?.parse().ok())
        .collect();
    pairs.into_iter()
}

fn is_usable(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !address.is_loopback() && !address.is_unspecified() && !link_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_named_as_its_file_says() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\n";
        assert_eq!(
            System::parse(debian),
            System {
                name: "Debian GNU/Linux".into(),
                version: "13".into()
            }
        );
        let bare = "NAME=Arch\n";
        assert_eq!(
            System::parse(bare),
            System {
                name: "Arch".into(),
                version: String::new()
            }
        );
        assert_eq!(System::parse("").name, "Linux");
    }

    #[test]
    fn the_domain_comes_from_the_hosts_file() {
        let hosts = "127.0.0.1 localhost\n10.0.0.5 web.example.org web # a comment web.other\n";
        assert_eq!(qualified("web", hosts), "web.example.org");
        assert_eq!(qualified("db", hosts), "db");
    }

    #[test]
    fn loopback_and_link_local_addresses_are_not_told() {
        let table = "        |-- 127.0.0.1\n           /32 host LOCAL\n        |-- 169.254.3.4\n           /32 host LOCAL\n        |-- 10.1.2.3\n           /32 host LOCAL\n";
        let found: Vec<IpAddr> = local_addresses(table).filter(is_usable).collect();
        assert_eq!(found, ["10.1.2.3".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn this_machine_can_be_described() {
        let facts = collect(&Settings::default());
        assert!(!facts.computer_name.is_empty() && !facts.platform_name.is_empty());
        assert_eq!(
            facts
                .agent_version
                .split('.')
                .filter(|part| part.parse::<u32>().is_ok())
                .count(),
            3
        );
    }
}
