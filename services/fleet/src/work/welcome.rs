//! What a machine that is let in is told of the bus: where it is, and by which authority it is known (fleet 9, step 4).

use std::path::{Path, PathBuf};

use muster_proto::fleet::v1::RegisterManagedInstanceResult;

use crate::Settings;

/// Why the bus cannot be told of.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WelcomeError {
    #[error("node_ca_file {} cannot be read", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("node_ca_file {} holds no certificate (PEM)", .0.display())]
    NoCertificate(PathBuf),
    #[error("node_ca_file {} holds a private key: name the file with the certificate alone", .0.display())]
    PrivateKey(PathBuf),
}

/// What is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Welcome {
    servers: Option<String>,
    ca: Option<String>,
}

impl Welcome {
    /// As the settings say.
    ///
    /// # Errors
    /// If the file of the authority cannot be used.
    pub(crate) fn open(settings: &Settings) -> Result<Self, WelcomeError> {
        let told = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let ca = match settings.node_ca_file.as_str() {
            "" => None,
            file => Some(certificate(Path::new(file))?),
        };
        Ok(Self {
            servers: told(&settings.node_servers.join(",")),
            ca,
        })
    }

    /// An answer that tells it, and nothing else.
    pub(crate) fn answer(&self) -> RegisterManagedInstanceResult {
        RegisterManagedInstanceResult {
            servers: self.servers.clone(),
            ca: self.ca.clone(),
            ..RegisterManagedInstanceResult::default()
        }
    }
}

fn certificate(path: &Path) -> Result<String, WelcomeError> {
    let text = std::fs::read_to_string(path).map_err(|source| WelcomeError::Read {
        path: path.to_owned(),
        source,
    })?;
    // Every machine that registers would get it.
    if text.contains("PRIVATE KEY") {
        return Err(WelcomeError::PrivateKey(path.to_owned()));
    }
    match text.contains("-----BEGIN CERTIFICATE-----") {
        true => Ok(text),
        false => Err(WelcomeError::NoCertificate(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use muster_harness::Folder;

    use super::*;

    #[test]
    fn only_a_certificate_is_told() {
        let folder = Folder::new("welcome");
        let file = folder.join("ca.pem");
        assert!(matches!(certificate(&file), Err(WelcomeError::Read { .. })));
        std::fs::write(&file, "nothing").unwrap();
        assert!(matches!(certificate(&file), Err(WelcomeError::NoCertificate(_))));
        let good = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
        std::fs::write(&file, format!("{good}-----BEGIN PRIVATE KEY-----\n")).unwrap();
        assert!(matches!(certificate(&file), Err(WelcomeError::PrivateKey(_))));
        std::fs::write(&file, good).unwrap();
        assert_eq!(certificate(&file).unwrap(), good);
    }
}
