//! Secrets and signing keys: they cannot be printed, and their memory is wiped.

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::TERMINATOR;

/// The secret of an access key.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret with this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What requests of one access key are signed with on one day in one region.
#[derive(Clone)]
pub struct SigningKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// The key with these bytes, as somebody else derived it.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Derives the key of a day (`20260101`), a region and a service (`ssm`) from a secret.
    #[must_use]
    pub fn derive(secret: &Secret, day: &str, region: &str, service: &str) -> Self {
        let first = Zeroizing::new(format!("AWS4{}", *secret.0));
        let mut key = keyed(first.as_bytes(), day.as_bytes());
        for part in [region, service, TERMINATOR] {
            key = keyed(&*key, part.as_bytes());
        }
        Self(key)
    }

    /// Whether `signature` is this key's for `text`. The time that this takes does not depend on where they differ.
    pub(super) fn has_signed(&self, text: &[u8], signature: &[u8; 32]) -> bool {
        let mut mac = mac(&*self.0);
        mac.update(text);
        mac.verify_slice(signature).is_ok()
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn keyed(key: &[u8], text: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = mac(key);
    mac.update(text);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_can_be_printed() {
        let secret = Secret::new("hunter2".to_owned());
        let key = SigningKey::derive(&secret, "20260101", "us-east-1", "ssm");
        assert_eq!(format!("{secret:?} {key:?}"), "Secret(…) SigningKey(…)");
    }

    #[test]
    fn day_region_and_service_make_other_keys() {
        let secret = Secret::new("hunter2".to_owned());
        let key = |day, region, service| *SigningKey::derive(&secret, day, region, service).0;
        let first = key("20260101", "us-east-1", "ssm");
        assert_ne!(first, key("20260102", "us-east-1", "ssm"));
        assert_ne!(first, key("20260101", "us-east-2", "ssm"));
        assert_ne!(first, key("20260101", "us-east-1", "sts"));
        assert_eq!(first, key("20260101", "us-east-1", "ssm"));
    }
}
