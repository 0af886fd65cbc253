//! What a machine that is let in is told: where the bus is, by which authority it is known, and whose work it is to carry
//! out (fleet 9, step 4).

use std::path::{Path, PathBuf};

use muster_credential::work::{ChainError, KeyChain};
use muster_model::Timestamp;
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
    #[error("work_keys_file {} cannot be read", .path.display())]
    ReadKeys {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("work_keys_file {} cannot be used", .path.display())]
    Keys {
        path: PathBuf,
        #[source]
        source: ChainError,
    },
}

/// What is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Welcome {
    servers: Option<String>,
    ca: Option<String>,
    work_keys_file: Option<PathBuf>,
}

impl Welcome {
    /// As the settings say.
    ///
    /// # Errors
    /// If the file of the authority or that of the work keys cannot be used.
    pub(crate) fn open(settings: &Settings) -> Result<Self, WelcomeError> {
        let told = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let ca = match settings.node_ca_file.as_str() {
            "" => None,
            file => Some(certificate(Path::new(file))?),
        };
        let work_keys_file = told(&settings.work_keys_file).map(PathBuf::from);
        if let Some(path) = &work_keys_file {
            chain(path)?;
        }
        Ok(Self {
            servers: told(&settings.node_servers.join(",")),
            ca,
            work_keys_file,
        })
    }

    /// An answer that tells it, and nothing else. The keys are those of the moment.
    ///
    /// # Errors
    /// If their file cannot be used any more: a machine that is not told them would believe whoever comes first.
    pub(crate) fn answer(&self, now: Timestamp) -> Result<RegisterManagedInstanceResult, WelcomeError> {
        let chain = self.work_keys_file.as_deref().map(chain).transpose()?;
        Ok(RegisterManagedInstanceResult {
            work_keys: chain.map(|chain| chain.at(now.as_second()).to_string()),
            ..self.bus()
        })
    }

    /// An answer for a node that was let in before: it has keys, and only another key of theirs changes them.
    pub(crate) fn bus(&self) -> RegisterManagedInstanceResult {
        RegisterManagedInstanceResult {
            servers: self.servers.clone(),
            ca: self.ca.clone(),
            ..RegisterManagedInstanceResult::default()
        }
    }
}

/// All work keys, from their file: it is small, and few machines register.
fn chain(path: &Path) -> Result<KeyChain, WelcomeError> {
    let text = std::fs::read_to_string(path).map_err(|source| WelcomeError::ReadKeys {
        path: path.to_owned(),
        source,
    })?;
    KeyChain::parse(&text).map_err(|source| WelcomeError::Keys {
        path: path.to_owned(),
        source,
    })
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
    use muster_credential::work::Rotation;
    use muster_credential::{Key, KeyKind};
    use muster_harness::Folder;

    use super::*;

    #[test]
    fn the_keys_of_the_moment_are_told_and_a_file_that_is_gone_is_no_silence() {
        let folder = Folder::new("welcome-keys");
        let file = folder.join("keys.json");
        let (_, settings) = muster_boot::load::<Settings>(crate::DEFAULTS, None).unwrap();
        let settings = Settings {
            work_keys_file: file.display().to_string(),
            ..settings
        };
        assert!(matches!(Welcome::open(&settings), Err(WelcomeError::ReadKeys { .. })));
        let [one, two] = [(); 2].map(|()| Key::generate(KeyKind::Work));
        let mut chain = KeyChain::begin(one.public()).unwrap();
        std::fs::write(&file, chain.to_text()).unwrap();
        let welcome = Welcome::open(&settings).unwrap();
        let told = |second| welcome.answer(Timestamp::from_second(second).unwrap());
        assert_eq!(told(500).unwrap().work_keys(), format!("1:{}", one.public()));
        let rotation = Rotation { announce: 0, keep: 60 };
        chain.rotate(&one, &two, 1_000, rotation).unwrap();
        std::fs::write(&file, chain.to_text()).unwrap();
        assert_eq!(told(2_000).unwrap().work_keys(), format!("4:{}", two.public()));
        std::fs::write(&file, "{}").unwrap();
        assert!(matches!(told(2_000), Err(WelcomeError::Keys { .. })));
    }

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
