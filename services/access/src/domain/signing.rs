//! Deriving what requests are signed with (aws-json-gateway 6).

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::secret::Secret;

/// The key that signs the requests of a day, in a region, for a service. Worth nothing elsewhere and on other days.
pub(crate) fn signing_key(secret: &Secret, day: &str, region: &str, service: &str) -> Zeroizing<[u8; 32]> {
    let start = Zeroizing::new(format!("AWS4{}", secret.reveal()));
    let mut key = mac(start.as_bytes(), day);
    for part in [region, service, "aws4_request"] {
        key = mac(key.as_slice(), part);
    }
    key
}

fn mac(key: &[u8], text: &str) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_comes_out() {
        let secret = Secret::given("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
        let key = signing_key(&secret, "20120215", "us-east-1", "iam");
        let expected = "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d";
        assert_eq!(hex::encode(key.as_slice()), expected);
        assert_ne!(key, signing_key(&secret, "20120216", "us-east-1", "iam"));
        assert_ne!(key, signing_key(&secret, "20120215", "us-east-1", "ssm"));
    }
}
