//! What `muster up` says about itself when everything answers, and where other verbs read it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A running `muster up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// AWS JSON: `http://127.0.0.1:8686`.
    pub(crate) gateway: String,
    /// The bus: `nats://127.0.0.1:…`.
    pub(crate) nats: String,
    /// gRPC: `host:port` by the name of the service, "RunCommand".
    pub(crate) grpc: BTreeMap<String, String>,
    /// Where its data lies.
    pub(crate) data_dir: PathBuf,
    /// Ids of the local agents' nodes.
    pub(crate) nodes: Vec<String>,
    /// Where the gateway verifies signatures there are none: `muster access bootstrap` makes the first ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) credentials: Option<Credentials>,
    /// The operator's credentials for the bus.
    #[serde(default)]
    pub(crate) creds: PathBuf,
}

/// Keys for AWS clients in development, where nobody checks them; clients only want to have some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

impl Credentials {
    /// Not a secret: the same for everybody, and good for nothing but development on loopback.
    pub(crate) fn development() -> Self {
        Self {
            access_key_id: "MUSTERDEVELOPMENT".to_owned(),
            secret_access_key: "not-a-secret".to_owned(),
        }
    }
}

impl Ready {
    /// The file in a data directory.
    pub(crate) fn file_in(data_dir: &Path) -> PathBuf {
        data_dir.join("ready.json")
    }

    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        let text = std::fs::read(file)?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    }

    /// Writes the file so that whoever waits for it finds all of it.
    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let draft = file.with_file_name(name);
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        std::fs::write(&draft, text)?;
        std::fs::rename(&draft, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample() -> Ready {
        Ready {
            gateway: "http://127.0.0.1:8686".to_owned(),
            nats: "nats://127.0.0.1:4222".to_owned(),
            grpc: [("Fleet".to_owned(), "127.0.0.1:9000".to_owned())]
                .into_iter()
                .collect(),
            data_dir: "data".into(),
            nodes: vec!["mi-0123456789abcdef0".to_owned()],
            credentials: Some(Credentials::development()),
            creds: "data/trust/creds/operator.creds".into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = Ready::file_in(folder.path());
        sample().write(&file).unwrap();
        assert_eq!(Ready::read(&file).unwrap(), sample());
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "no draft is left behind");
    }

    #[test]
    fn the_members_are_those_that_scripts_rely_on() {
        let value = serde_json::to_value(sample()).unwrap();
        let members: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            ["gateway", "nats", "grpc", "data_dir", "nodes", "credentials", "creds"]
        );
        assert!(value["credentials"]["access_key_id"].is_string());
        assert!(value["credentials"]["secret_access_key"].is_string());
    }
}
