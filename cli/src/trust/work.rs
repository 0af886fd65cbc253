//! The keys that sign work (decision 18): `work/keys.json` tells all of them, and `work/V….seed` holds one that signs.
//! They vouch for the keys that services sign answers with, `answers/<service>.key`.

use muster_credential::work::{AnswerKey, ChainError, KeyChain, Rotation};
use muster_credential::{Key, KeyKind, PublicKey};

use super::folder::{TrustError, TrustFolder};
use super::keys::load;
use super::now;

const CHAIN: &str = "keys.json";
/// Whose answers to nodes are signed.
const ANSWERERS: [&str; 2] = ["documents", "parameter-store"];

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
    let mut chain = read_chain(folder)?;
    let now = now();
    let signer = chain.at(now).signer().map(ToString::to_string).unwrap_or_default();
    let seed = folder.work().join(format!("{signer}.seed"));
    let old = load(folder, &seed, KeyKind::Work, false)?;
    // Its seed comes first: a key that is announced must be there when it is to sign.
    let new = make(folder)?;
    chain
        .rotate(&old, &new, now, rotation)
        .map_err(|source| TrustError::Chain {
            path: path.clone(),
            source,
        })?;
    folder.write(&path, chain.to_text().as_bytes())?;
    refresh_answer_keys(folder)?;
    Ok(chain)
}

/// Makes a key for each service whose answers are signed, unless it has one for which all keys vouch that count now or
/// will. Gives the files that were written.
pub(crate) fn refresh_answer_keys(folder: &TrustFolder) -> Result<Vec<String>, TrustError> {
    let (chain, now) = (read_chain(folder)?, now());
    let sets = std::iter::once(chain.at(now)).chain(chain.later(now).map(|(_, keys)| keys));
    let mut names: Vec<&PublicKey> = sets.flat_map(|set| set.keys()).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    names.dedup();
    let mut vouching = Vec::with_capacity(names.len());
    for name in names {
        // The seed of a key that is only remembered may have been taken away.
        let seed = folder.work().join(format!("{name}.seed"));
        if seed.exists() {
            vouching.push(load(folder, &seed, KeyKind::Work, false)?);
        }
    }
    let mut written = Vec::new();
    for service in ANSWERERS {
        let path = folder.answer_key(service);
        let known = folder.read_secret(&path)?.and_then(|text| AnswerKey::parse(&text).ok());
        let is_good = known.is_some_and(|known| {
            let certificate = known.certificate();
            certificate.service() == service && certificate.vouchers().eq(vouching.iter().map(Key::public))
        });
        if !is_good {
            let vouching: Vec<&Key> = vouching.iter().collect();
            folder.write(&path, AnswerKey::make(service, &vouching).to_text().as_bytes())?;
            written.push(format!("answers/{service}.key"));
        }
    }
    Ok(written)
}

fn read_chain(folder: &TrustFolder) -> Result<KeyChain, TrustError> {
    let path = folder.work().join(CHAIN);
    let text = folder
        .read(&path)?
        .ok_or_else(|| TrustError::Missing { path: path.clone() })?;
    KeyChain::parse(&text).map_err(|source| TrustError::Chain { path, source })
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

    use muster_credential::work::WorkKeys;

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
        let answers = || ANSWERERS.map(|service| std::fs::read_to_string(folder.answer_key(service)).unwrap());
        let made = answers();
        for (service, text) in ANSWERERS.iter().zip(&made) {
            // Also whoever has not heard of the new key yet believes it.
            let certificate = AnswerKey::parse(text).unwrap().certificate().clone();
            assert_eq!(certificate.service(), *service);
            for key in chain.at(now).keys() {
                let pinned = WorkKeys::new(1, vec![key.clone()]).unwrap();
                assert!(certificate.is_vouched_for_by(&pinned), "{key}");
            }
        }
        assert_eq!(refresh_answer_keys(&folder).unwrap(), Vec::<String>::new());
        assert_eq!(answers(), made);
        let signer = chain.at(now).signer().unwrap();
        std::fs::remove_file(folder.work().join(format!("{signer}.seed"))).unwrap();
        assert!(matches!(
            rotate_work_keys(&folder, rotation),
            Err(TrustError::Missing { .. })
        ));
    }
}
