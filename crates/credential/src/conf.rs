//! The configuration of a NATS server in operator mode (fleet 7), as a text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::PublicKey;

/// Longest message, in bytes: a work item carries a document of 64 KiB with its parameters, a reply the outputs of
/// many steps.
pub const MAX_PAYLOAD: usize = 8 * 1024 * 1024;
/// Longest line of the protocol, in bytes: the claims of a node with 50 tags come in one, and the server's own 4 KiB
/// would just do.
pub const MAX_CONTROL_LINE: usize = 8 * 1024;

/// A certificate for the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate with those between it and the authority, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// Where a server takes connections as WebSocket, which come through proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocket {
    /// Where it listens.
    pub host: String,
    /// The port; none: any that is free, to be read from `ports`.
    pub port: Option<u16>,
}

/// What a server in operator mode is told.
#[derive(Debug, Clone)]
pub struct ServerConf {
    /// Where it listens.
    pub host: String,
    /// The port; none: any that is free, to be read from `ports`.
    pub port: Option<u16>,
    /// A folder into which the server writes its ports.
    pub ports: Option<PathBuf>,
    /// The operator's signed claims.
    pub operator: String,
    /// The servers' own account.
    pub system: PublicKey,
    /// Accounts that the server knows when it has none yet: what was pushed later outweighs.
    pub preload: Vec<(PublicKey, String)>,
    /// Where the server keeps accounts that were pushed.
    pub resolver: PathBuf,
    /// Where JetStream keeps its streams.
    pub jetstream: PathBuf,
    /// Most connections.
    pub max_connections: u32,
    /// Encryption; without it only loopback should be listened to.
    pub tls: Option<TlsFiles>,
    /// Encrypted as `tls` says.
    pub websocket: Option<WebSocket>,
}

impl ServerConf {
    /// The configuration file's text. Nothing in it is secret.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into memory does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "host: {}", quoted(&self.host))?;
        match self.port {
            Some(port) => writeln!(text, "port: {port}")?,
            None => writeln!(text, "port: -1")?,
        }
        if let Some(ports) = &self.ports {
            writeln!(text, "ports_file_dir: {}", path(ports))?;
        }
        writeln!(text, "max_payload: {MAX_PAYLOAD}")?;
        writeln!(text, "max_control_line: {MAX_CONTROL_LINE}")?;
        writeln!(text, "max_connections: {}", self.max_connections)?;
        writeln!(text, "jetstream {{ store_dir: {} }}", path(&self.jetstream))?;
        if let Some(tls) = &self.tls {
            writeln!(
                text,
                "tls {{ cert_file: {}, key_file: {}, min_version: \"1.2\" }}",
                path(&tls.certificate),
                path(&tls.key)
            )?;
        }
        if let Some(WebSocket { host, port }) = &self.websocket {
            let (host, port) = (
                quoted(host),
                port.map_or_else(|| "-1".to_owned(), |port| port.to_string()),
            );
            match &self.tls {
                Some(tls) => writeln!(
                    text,
                    "websocket {{ host: {host}, port: {port}, tls {{ cert_file: {}, key_file: {}, min_version: \"1.2\" }} }}",
                    path(&tls.certificate),
                    path(&tls.key)
                )?,
                None => writeln!(text, "websocket {{ host: {host}, port: {port}, no_tls: true }}")?,
            }
        }
        writeln!(text, "operator: {}", self.operator)?;
        writeln!(text, "system_account: {}", self.system)?;
        writeln!(
            text,
            "resolver {{ type: full, dir: {}, allow_delete: true, interval: \"2m\", limit: 1000 }}",
            path(&self.resolver)
        )?;
        writeln!(text, "resolver_preload {{")?;
        for (account, token) in &self.preload {
            writeln!(text, "  {account}: {token}")?;
        }
        writeln!(text, "}}")
    }
}

/// A text in quotes is JSON's, which the server's language takes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, KeyKind};

    #[test]
    fn paths_may_have_quotes_and_blanks() {
        let conf = ServerConf {
            host: "127.0.0.1".to_owned(),
            port: None,
            ports: Some("/home/a \"b\"/ports".into()),
            operator: "token".to_owned(),
            system: Key::generate(KeyKind::Account).public().clone(),
            preload: Vec::new(),
            resolver: "/r".into(),
            jetstream: "/j".into(),
            max_connections: 7,
            tls: None,
            websocket: None,
        };
        let secure = ServerConf {
            tls: Some(TlsFiles {
                certificate: "/c.pem".into(),
                key: "/k.pem".into(),
            }),
            websocket: Some(WebSocket {
                host: "0.0.0.0".to_owned(),
                port: Some(443),
            }),
            ..conf.clone()
        };
        let told = "websocket { host: \"0.0.0.0\", port: 443, tls { cert_file: \"/c.pem\", key_file: \"/k.pem\", ";
        assert!(secure.text().contains(told), "{}", secure.text());
        let text = conf.text();
        assert!(text.contains(r#"ports_file_dir: "/home/a \"b\"/ports""#), "{text}");
        assert!(
            text.contains("port: -1\n") && text.contains("max_connections: 7\n"),
            "{text}"
        );
        assert!(!text.contains("tls"));
    }
}
