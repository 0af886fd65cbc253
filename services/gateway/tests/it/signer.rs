//! Requests are signed by the AWS SDK's signer: another hand than the one that verifies.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use jiff::Timestamp;

/// An access key, and what its owner signs for.
#[derive(Debug, Clone)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) region: String,
    pub(crate) service: String,
    /// Whether the header `x-amz-content-sha256` is sent.
    pub(crate) names_hash: bool,
}

impl AccessKey {
    pub(crate) fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            token: None,
            region: "us-east-1".to_owned(),
            service: "ssm".to_owned(),
            names_hash: false,
        }
    }
}

/// The headers that sign a request.
pub(crate) fn sign(
    key: &AccessKey,
    at: Timestamp,
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Vec<(String, String)> {
    let identity = Credentials::new(&key.id, &key.secret, key.token.clone(), None, "tests").into();
    let mut settings = SigningSettings::default();
    if key.names_hash {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&key.region)
        .name(&key.service)
        .time(SystemTime::from(at))
        .settings(settings)
        .build()
        .expect("all parameters")
        .into();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = SignableRequest::new(method, url, headers, SignableBody::Bytes(body)).expect("a request");
    let signed = aws_sigv4::http_request::sign(request, &parameters).expect("a signature");
    let (instructions, _) = signed.into_parts();
    let more = instructions.headers();
    more.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
