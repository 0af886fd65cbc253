//! What names a machine that wants to be a node: an operator sees it, compares it with what the machine shows, and gives
//! leave to that one and to no other (agent.md B8).

use sha2::{Digest, Sha256};

use super::identity::Attributes;

/// Bytes of the hash that are shown, as hexadecimal digits: nobody finds a second one to 80 bits.
const SHOWN: usize = 10;

/// The fingerprint of a machine that shows a key.
pub(crate) fn of_key(public_key: &str) -> String {
    shown(Sha256::new().chain_update(b"key\0").chain_update(public_key))
}

/// The fingerprint of a machine with these parts.
pub(crate) fn of_parts(attributes: &Attributes) -> String {
    let mut hash = Sha256::new().chain_update(b"parts\0");
    for (kind, value) in &attributes.0 {
        hash.update(kind.word());
        hash.update(b"\0");
        hash.update(value);
        hash.update(b"\0");
    }
    shown(hash)
}

fn shown(hash: Sha256) -> String {
    hex::encode(&hash.finalize()[..SHOWN])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::Kind;

    #[test]
    fn whatever_is_different_has_another_fingerprint() {
        let parts = |kind: Kind, value: &str| Attributes([(kind, value.to_owned())].into());
        let all = [
            of_key("UA"),
            of_key("UB"),
            of_parts(&Attributes::default()),
            of_parts(&parts(Kind::Mac, "aa")),
            of_parts(&parts(Kind::Mac, "ab")),
            of_parts(&parts(Kind::Disk, "aa")),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert!(all.iter().all(|text| text.len() == 20));
        assert_eq!(of_key("UA"), all[0]);
    }
}
