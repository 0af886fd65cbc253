//! Signs what goes to nodes (fleet 10, decision 18), with the key that signs now.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use futures::future::join_all;
use muster_boot::{PrivateFileError, read_private};
use muster_credential::work::{ChainError, Digest, KeyChain, Signature, WorkKeys};
use muster_credential::{Key, KeyError, KeyKind, Purpose};
use muster_model::{NodeId, SignedDuration, Timestamp};
use muster_proto::agent::v1::WorkKeys as WireKeys;

use super::delivery::Letter;

/// How often it is looked whether there are other keys.
const LOOK: SignedDuration = SignedDuration::from_secs(5);
/// Fewer messages than this are signed here: handing them to other threads has its price too.
const FEW: usize = 64;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("{} cannot be read", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Seed(#[from] PrivateFileError),
    #[error("{} cannot be used", .path.display())]
    Chain { path: PathBuf, source: ChainError },
    #[error("the key in {} cannot be used", .path.display())]
    Key { path: PathBuf, source: KeyError },
    #[error("{} holds another key than its name says", .path.display())]
    OtherKey { path: PathBuf },
}

/// The keys that sign.
#[derive(Debug)]
pub(crate) struct Seal {
    folder: PathBuf,
    /// Nothing is signed without.
    loaded: Option<Loaded>,
    looked_at: Timestamp,
}

#[derive(Debug)]
struct Loaded {
    text: String,
    chain: KeyChain,
    signer: Arc<Key>,
}

impl Seal {
    /// The keys in a folder; no path: nothing is signed.
    ///
    /// # Errors
    /// If they cannot be used.
    pub(crate) fn open(folder: &Path, now: Timestamp) -> Result<Self, SealError> {
        let loaded = match folder.as_os_str().is_empty() {
            true => {
                tracing::warn!("work is not signed: nodes believe whatever comes over the bus; set work_keys_folder");
                None
            }
            false => Some(load(folder, now)?),
        };
        Ok(Self {
            folder: folder.to_owned(),
            loaded,
            looked_at: now,
        })
    }

    /// Looks now and then whether there are other keys, or another one signs by now.
    pub(crate) async fn refresh(&mut self, now: Timestamp) {
        let is_due = now.duration_since(self.looked_at) >= LOOK || now < self.looked_at;
        let (Some(loaded), true) = (&self.loaded, is_due) else {
            return;
        };
        self.looked_at = now;
        let folder = self.folder.clone();
        let found = tokio::task::spawn_blocking(move || load(&folder, now)).await;
        match found {
            Ok(Ok(found)) if found.text != loaded.text || found.signer.public() != loaded.signer.public() => {
                tracing::info!(key = %found.signer.public(), serial = found.chain.at(now.as_second()).serial(), "the keys that sign work have changed");
                self.loaded = Some(found);
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the keys that sign work cannot be read again; the former go on"
            ),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the keys that sign work were not looked at"
            ),
        }
    }

    /// What a node that has the keys of this serial does not know.
    pub(crate) fn news(&self, serial: u64, now: Timestamp) -> Vec<WireKeys> {
        let Some(Loaded { chain, .. }) = &self.loaded else {
            return Vec::new();
        };
        let now = now.as_second();
        if serial == 0 {
            return vec![wire(chain.at(now))];
        }
        let changes = chain.after(serial, now).map(|change| WireKeys {
            signed_by: change.signed_by.to_string(),
            signature: change.signature.clone(),
            ..wire(&change.keys)
        });
        changes.collect()
    }

    /// Signs one message, if messages are signed.
    pub(crate) fn sign(&self, purpose: Purpose, node: &NodeId, message: &[u8], nonce: &[u8]) -> Option<Signature> {
        let loaded = self.loaded.as_ref()?;
        let digest = Digest::of(message);
        Some(Signature::make(&loaded.signer, purpose, node.as_str(), digest, nonce))
    }

    /// Signs many, on as many threads as there are; their order stays.
    pub(crate) async fn sign_all(&self, letters: Vec<Letter>) -> Vec<(Letter, Option<Signature>)> {
        let Some(loaded) = &self.loaded else {
            return letters.into_iter().map(|letter| (letter, None)).collect();
        };
        if letters.len() < FEW {
            return sign_here(&loaded.signer, letters);
        }
        let threads = available_parallelism().map_or(1, usize::from);
        let size = letters.len().div_ceil(threads).max(1);
        let mut letters = letters.into_iter().peekable();
        let mut parts = Vec::with_capacity(threads);
        while letters.peek().is_some() {
            let part: Vec<Letter> = letters.by_ref().take(size).collect();
            let (signer, again) = (Arc::clone(&loaded.signer), part.clone());
            let signing = tokio::task::spawn_blocking(move || sign_here(&signer, part));
            parts.push(async move { (signing.await, again) });
        }
        let signed = join_all(parts).await.into_iter().map(|(signed, again)| {
            // While the service stops there may be no thread.
            signed.unwrap_or_else(|_| sign_here(&loaded.signer, again))
        });
        signed.flatten().collect()
    }
}

fn sign_here(signer: &Key, letters: Vec<Letter>) -> Vec<(Letter, Option<Signature>)> {
    let sign = |letter: Letter| {
        let (node, purpose, digest) = letter.to_sign();
        let signature = Signature::make(signer, purpose, node.as_str(), digest, b"");
        (letter, Some(signature))
    };
    letters.into_iter().map(sign).collect()
}

fn wire(keys: &WorkKeys) -> WireKeys {
    WireKeys {
        serial: keys.serial(),
        keys: keys.keys().iter().map(ToString::to_string).collect(),
        ..WireKeys::default()
    }
}

fn load(folder: &Path, now: Timestamp) -> Result<Loaded, SealError> {
    let path = folder.join("keys.json");
    let text = read(&path)?;
    let chain = match KeyChain::parse(&text) {
        Ok(chain) => chain,
        Err(source) => return Err(SealError::Chain { path, source }),
    };
    let signer = chain.at(now.as_second()).signer();
    // A set has one key at least.
    let name = signer.map(ToString::to_string).unwrap_or_default();
    let path = folder.join(format!("{name}.seed"));
    let seed = read_private(&path)?;
    match Key::from_seed(&seed, KeyKind::Work) {
        Ok(key) if Some(key.public()) != signer => Err(SealError::OtherKey { path }),
        Ok(key) => Ok(Loaded {
            signer: Arc::new(key),
            text,
            chain,
        }),
        Err(source) => Err(SealError::Key { path, source }),
    }
}

fn read(path: &Path) -> Result<String, SealError> {
    std::fs::read_to_string(path).map_err(|source| SealError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use muster_harness::Folder;

    use super::*;

    #[test]
    fn a_key_that_others_may_read_or_that_is_another_signs_nothing() {
        let folder = Folder::new("work-keys");
        let [key, other] = [(); 2].map(|()| Key::generate(KeyKind::Work));
        let chain = KeyChain::begin(key.public()).unwrap();
        std::fs::write(folder.join("keys.json"), chain.to_text()).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let open = || Seal::open(folder.path(), now);
        assert!(matches!(open(), Err(SealError::Seed(PrivateFileError::Read { .. }))));
        let path = folder.join(format!("{}.seed", key.public()));
        let write = |key: &Key, mode| {
            std::fs::write(&path, key.seed().expose()).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write(&key, 0o640);
        let error = open().unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        write(&other, 0o600);
        assert!(matches!(open(), Err(SealError::OtherKey { .. })));
        write(&key, 0o600);
        assert!(open().is_ok());
    }
}
