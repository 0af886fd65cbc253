//! The NATS server of `muster up`: on loopback, on a free port, with its store in the data directory.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::child::Child;
use super::error::UpError;
use super::folder::Folder;
use crate::trust::{Keys, TrustError};

/// Most connections: local agents, services, and simulated nodes by the thousand.
const MAX_CONNECTIONS: u32 = 65_536;
/// How often it is looked whether the server has said its port; a healthy start takes some 10 ms.
const LOOK: Duration = Duration::from_millis(1);
const GRACE: Duration = Duration::from_secs(3);
const OLDEST: (u32, u32) = (2, 10);

#[derive(Debug)]
pub(super) struct Nats {
    child: Child,
    port: u16,
}

impl Nats {
    /// Starts it on any free port and waits until it has said which.
    pub(super) async fn start(program: PathBuf, folder: &Folder, keys: &Keys) -> Result<Self, UpError> {
        let home = folder.nats();
        let settings = home.join("settings.conf");
        let ports = home.join("ports");
        let unusable = |source| UpError::Folder {
            path: home.clone(),
            source,
        };
        clear(&ports).map_err(unusable)?;
        fs::write(&settings, text(&home, None, keys)?).map_err(unusable)?;
        let arguments = vec!["--config".into(), settings.clone().into()];
        let mut child = Child::new("nats-server".to_owned(), program, arguments, folder.log("nats")?);
        child.start()?;
        let port = tokio::select! {
            port = said_port(&ports) => port,
            status = child.died() => return Err(child.ended(status)),
        };
        // Whoever is connected finds it again when it has to be started again.
        fs::write(&settings, text(&home, Some(port), keys)?).map_err(unusable)?;
        Ok(Self { child, port })
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(super) async fn keep(&mut self) -> Infallible {
        self.child.keep().await
    }

    pub(super) async fn stop(&mut self) {
        self.child.stop(GRACE).await;
    }
}

/// Refuses a server that lacks what durability and permissions need.
pub(super) fn check_version(version: &str) -> Result<(), UpError> {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let is_known_as_old = match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < OLDEST,
        _ => false,
    };
    match is_known_as_old {
        true => Err(UpError::NatsTooOld {
            version: version.to_owned(),
        }),
        false => Ok(()),
    }
}

fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir(folder),
    }
}

/// The server's settings, in operator mode.
fn text(home: &Path, port: Option<u16>, keys: &Keys) -> Result<String, TrustError> {
    let mut conf = keys.server_conf(("127.0.0.1".to_owned(), port), home, MAX_CONNECTIONS)?;
    conf.ports = Some(home.join("ports"));
    Ok(format!("# Written by muster up at every start.\n{}", conf.text()))
}

async fn said_port(folder: &Path) -> u16 {
    loop {
        if let Some(port) = read_port(folder) {
            return port;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The server's file: `{"nats":["nats://127.0.0.1:<port>"]}`. Half written it is no JSON.
fn read_port(folder: &Path) -> Option<u16> {
    let file = fs::read_dir(folder).ok()?.next()?.ok()?.path();
    let said: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let address = said.get("nats")?.get(0)?.as_str()?;
    address.rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused() {
        assert!(check_version("2.9.25").is_err());
        assert!(check_version("1.4.1").is_err());
        for good in ["2.10.0", "2.15.1", "3.0.0", "2.12.0-preview.1", "development"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn the_port_is_read_only_when_it_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_port(folder.path()), None);
        let file = folder.path().join("nats-server_1.ports");
        fs::write(&file, "{\"nats\":[\"nats://127.0").unwrap();
        assert_eq!(read_port(folder.path()), None);
        fs::write(&file, r#"{"nats":["nats://127.0.0.1:40123"]}"#).unwrap();
        assert_eq!(read_port(folder.path()), Some(40123));
    }
}
