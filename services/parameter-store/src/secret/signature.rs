//! AWS signature version 4 of a request that this service makes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// What signs.
#[derive(Clone)]
pub(super) struct Credentials {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    pub(super) session_token: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Why there are none. Says nothing of what is in the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error("the credentials file {0:?} cannot be read")]
    Read(PathBuf, #[source] io::Error),
    #[error("the credentials file {0:?} can be read by others: chmod 600 it")]
    Open(PathBuf),
    #[error("the credentials file {0:?} has no aws_access_key_id and aws_secret_access_key in [default]")]
    Incomplete(PathBuf),
}

impl Credentials {
    /// Reads the profile `default` of a file; a file without sections is one.
    pub(super) fn load(path: &Path) -> Result<Self, CredentialsError> {
        let unreadable = |error| CredentialsError::Read(path.to_owned(), error);
        if fs::metadata(path).map_err(unreadable)?.mode() & 0o077 != 0 {
            return Err(CredentialsError::Open(path.to_owned()));
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(unreadable)?);
        Self::parse(&text).ok_or_else(|| CredentialsError::Incomplete(path.to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut is_default = true;
        let (mut id, mut secret, mut token) = (None, None, None);
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                is_default = line == "[default]";
            } else if let Some((name, value)) = line.split_once('=').filter(|_| is_default) {
                let value = Zeroizing::new(value.trim().to_owned());
                match name.trim() {
                    "aws_access_key_id" => id = Some(value.to_string()),
                    "aws_secret_access_key" => secret = Some(value),
                    "aws_session_token" => token = Some(value),
                    _ => {}
                }
            }
        }
        Some(Self {
            access_key_id: id?,
            secret_access_key: secret?,
            session_token: token,
        })
    }
}

/// A POST to `/`, as far as it is signed.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    /// `20260102T030405Z`.
    pub(super) time: &'a str,
    /// By name, in lower case and in order.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

/// The value of the header `authorization`.
pub(super) fn authorization(request: &Request<'_>, credentials: &Credentials) -> String {
    let signed: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let signed = signed.join(";");
    let headers: String = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let canonical = format!(
        "POST\n/\n\n{headers}\n{signed}\n{}",
        hex::encode(Sha256::digest(request.body))
    );
    let date = request.time.get(..8).unwrap_or_default();
    let scope = format!("{date}/{}/{}/aws4_request", request.region, request.service);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        request.time,
        hex::encode(Sha256::digest(canonical.as_bytes()))
    );
    let first = Zeroizing::new(format!("AWS4{}", credentials.secret_access_key.as_str()));
    let mut key = Zeroizing::new(first.as_bytes().to_vec());
    for part in [date, request.region, request.service, "aws4_request"] {
        key = Zeroizing::new(mac(&key, part.as_bytes()));
    }
    let signature = hex::encode(mac(&key, to_sign.as_bytes()));
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
        credentials.access_key_id
    )
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_default_is_read_and_never_shown() {
        let text =
            "[other]\naws_access_key_id = no\n[default]\naws_access_key_id = AKID\naws_secret_access_key=sec/ret\n";
        let read = Credentials::parse(text).unwrap();
        assert_eq!(
            (read.access_key_id.as_str(), read.secret_access_key.as_str()),
            ("AKID", "sec/ret")
        );
        assert_eq!(format!("{read:?}"), "Credentials(…)");
        assert!(Credentials::parse("[default]\naws_access_key_id = AKID\n").is_none());
    }

    /// What the reference signer says of the same request.
    #[test]
    fn a_signature_is_what_the_reference_makes_of_the_request() {
        use aws_credential_types::Credentials as Reference;
        use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
        use aws_sigv4::sign::v4;

        let identity = Reference::from_keys("AKIDTEST", "sec/ret", Some("to/ken=".to_owned())).into();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_767_323_045);
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("kms")
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "TrentService.Encrypt"),
        ];
        let body = br#"{"KeyId":"x"}"#;
        let signable = SignableRequest::new(
            "POST",
            "http://kms.test:8080/",
            headers.into_iter(),
            SignableBody::Bytes(body),
        );
        let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
        let (made, _) = instructions.into_parts();
        let expected = made
            .iter()
            .find(|header| header.name() == "authorization")
            .unwrap()
            .value()
            .to_owned();
        let token = made
            .iter()
            .find(|header| header.name() == "x-amz-security-token")
            .unwrap()
            .value()
            .to_owned();
        let ours = Credentials {
            access_key_id: "AKIDTEST".to_owned(),
            secret_access_key: Zeroizing::new("sec/ret".to_owned()),
            session_token: Some(Zeroizing::new(token.clone())),
        };
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("host", "kms.test:8080"),
            ("x-amz-date", "20260102T030405Z"),
            ("x-amz-security-token", token.as_str()),
            ("x-amz-target", "TrentService.Encrypt"),
        ];
        let request = Request {
            region: "eu-west-1",
            service: "kms",
            time: "20260102T030405Z",
            headers: &headers,
            body,
        };
        assert_eq!(authorization(&request, &ours), expected);
    }
}
