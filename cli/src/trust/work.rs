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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_for_work_are_made_once_private_and_rotated_with_their_files() {
        let root = tempfile::tempdir().unwrap();
        let folder = TrustFolder::at(root.path());
        assert!(begin_work_keys(&folder).unwrap());
        assert!(!begin_work_keys(&folder).unwrap());
        let rotation = Rotation { announce: 0, keep: 60 };
        let chain = rotate_work_keys(&folder, rotation).unwrap();
        let now = now();
        assert_eq!(chain.at(now).serial(), 3);
        for key in chain.at(now).keys() {
            let path = folder.work().join(format!("{key}.seed"));
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let kept = KeyChain::parse(&std::fs::read_to_string(folder.work().join(CHAIN)).unwrap()).unwrap();
        assert_eq!(kept, chain);
        let signer = chain.at(now).signer().unwrap();
        std::fs::remove_file(folder.work().join(format!("{signer}.seed"))).unwrap();
        assert!(matches!(
            rotate_work_keys(&folder, rotation),
            Err(TrustError::Missing { .. })
        ));
    }
}
