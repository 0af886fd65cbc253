//! Which connections to the bus would not be encrypted: only a machine speaks to itself in clear (fleet 9).

use std::net::IpAddr;

use async_nats::{ConnectOptions, ServerAddr};

/// The first server elsewhere to which the connection would not be encrypted, as scheme, host and port. Whoever names an
/// authority asks for TLS; WebSocket in clear stays so, authority or not.
#[must_use]
pub fn in_clear(servers: &[ServerAddr], has_authority: bool) -> Option<String> {
    let is_encrypted = |server: &ServerAddr| match server.scheme() {
        "tls" | "wss" => true,
        "ws" => false,
        _ => has_authority,
    };
    let server = servers
        .iter()
        .find(|server| !is_encrypted(server) && !is_loopback(server.host()))?;
    Some(format!("{}://{}:{}", server.scheme(), server.host(), server.port()))
}

/// Keeps a client from leaving what [`in_clear`] has looked at: a server tells of others of its cluster, and names no
/// encryption with them.
#[must_use]
pub fn stay_encrypted(
    options: ConnectOptions,
    servers: &[ServerAddr],
    has_authority: bool,
    is_insecure: bool,
) -> ConnectOptions {
    let all = |schemes: &[&str]| servers.iter().all(|server| schemes.contains(&server.scheme()));
    if servers.iter().any(ServerAddr::is_websocket) {
        // Those that it tells of speak without WebSocket.
        options.ignore_discovered_servers()
    } else if has_authority || all(&["tls"]) {
        options.require_tls(true)
    } else if is_insecure {
        options
    } else {
        options.ignore_discovered_servers()
    }
}

/// Whether a host is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_clear() {
        let found = |list: &[&str], has_authority| {
            let servers: Vec<ServerAddr> = list.iter().map(|server| server.parse().unwrap()).collect();
            in_clear(&servers, has_authority)
        };
        for here in [
            "nats://127.0.0.1:4222",
            "localhost",
            "nats://[::1]:1",
            "ws://127.0.0.1:8080",
        ] {
            assert_eq!(found(&[here], false), None, "{here}");
        }
        for safe in ["tls://bus.example.org", "wss://bus.example.org"] {
            assert_eq!(found(&[safe], false), None, "{safe}");
        }
        for clear in ["nats://bus.example.org", "192.0.2.1:4222", "ws://bus.example.org"] {
            assert!(found(&[clear], false).is_some(), "{clear}");
        }
        assert_eq!(
            found(&["nats://bus.example.org"], true),
            None,
            "the authority asks for TLS"
        );
        assert!(
            found(&["ws://bus.example.org"], true).is_some(),
            "WebSocket does not mind it"
        );
        assert_eq!(
            found(&["tls://one.example.org", "two.example.org"], false).as_deref(),
            Some("nats://two.example.org:4222")
        );
    }
}
