//! The keys that sign work (decision 18): `work/keys.json` tells all of them, and `work/V….seed` holds one that signs.

use muster_credential::work::{ChainError, KeyChain, Rotation};
use muster_credential::{Key, KeyKind};

use super::folder::{TrustError, TrustFolder};
use super::keys::load;
use super::now;

const CHAIN: &str = "keys.json";

/// Makes the first key, if there is none. Gives whether it did.
pub(crate) fn begin_work_keys(folder: &TrustFolder) -> Result<bool, TrustError> {
    let path = folder.work().join(CHAIN);
    if folder.read(&path)?.is_some() {
        return Ok(false);
    }
    let key = make(folder)?;
    let chain = KeyChain::begin(key.public()).map_err(|source| TrustError::Chain {
        path: path.clone(),
        source: ChainError::Broken { serial: 1, source },
    })?;
    folder.write(&path, chain.to_text().as_bytes())?;
    Ok(true)
}

/// Lets another key sign soon, and forgets the old ones after `keep` seconds. Gives the keys as they are to be.
pub(crate) fn rotate_work_keys(folder: &TrustFolder, rotation: Rotation) -> Result<KeyChain, TrustError> {
    let path = folder.work().join(CHAIN);
    let text = folder
        .read(&path)?
        .ok_or_else(|| TrustError::Missing { path: path.clone() })?;
    let unusable = |source| TrustError::Chain {
        path: path.clone(),
        source,
    };
    let mut chain = KeyChain::parse(&text).map_err(unusable)?;
    let now = now();
    let signer = chain.at(now).signer().map(ToString::to_string).unwrap_or_default();
    let seed = folder.work().join(format!("{signer}.seed"));
    let old = load(folder, &seed, KeyKind::Work, false)?;
    // Its seed comes first: a key that is announced must be there when it is to sign.
    let new = make(folder)?;
    chain.rotate(&old, &new, now, rotation).map_err(unusable)?;
    folder.write(&path, chain.to_text().as_bytes())?;
    Ok(chain)
}

fn make(folder: &TrustFolder) -> Result<Key, TrustError> {
    let key = Key::generate(KeyKind::Work);
    let path = folder.work().join(format!("{}.seed", key.public()));
    folder.write(&path, format!("{}\n", key.seed().expose()).as_bytes())?;
    Ok(key)
}
