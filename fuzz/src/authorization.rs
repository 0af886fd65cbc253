//! Signed requests: a header `Authorization`, and after a byte 1 more headers as lines `name:value`; a byte 1 again, and
//! the query.
//!
//! Whatever they say, nobody gets in without the key.

use std::sync::LazyLock;

use http::{HeaderName, HeaderValue, Request, request};
use jiff::Timestamp;
use muster_gateway::sigv4::{Authorization, Claim, Refused, Rules, SERVICE, Secret, SigningKey};

/// 2026-01-01T00:05:00Z; the seeds are signed five minutes earlier.
const NOW: Timestamp = Timestamp::constant(1_767_225_900, 0);

/// A key that has signed none of the inputs.
static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::derive(&Secret::new("nobody's".to_owned()), "20260101", "us-east-1", SERVICE));

/// Reads, judges, and does not believe.
pub fn run(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == 1);
    let mut next = || parts.next().unwrap_or_default();
    let (authorization, headers, query) = (next(), next(), next());
    if let Ok(text) = std::str::from_utf8(authorization)
        && let Ok(read) = Authorization::read(text)
    {
        assert!(!read.signature.is_empty() && !read.signed_headers.is_empty());
        assert!(!read.credential.access_key.is_empty());
    }
    let Some(head) = head(authorization, headers, query) else {
        return;
    };
    let rules = Rules {
        regions: vec!["*".to_owned()],
        host_aliases: vec!["alias.example".to_owned()],
    };
    let refused = match Claim::read(&head, SERVICE, &rules, NOW) {
        Ok(claim) => claim.prove(&KEY, b"{}", &rules).expect_err("nobody has signed this"),
        Err(refused) => refused,
    };
    let text = refused.to_string();
    assert!(text.len() < 70_000, "an answer of {} bytes", text.len());
    assert!(
        !matches!(refused, Refused::Unrecognized | Refused::Expired),
        "no key was looked up"
    );
}

fn head(authorization: &[u8], headers: &[u8], query: &[u8]) -> Option<request::Parts> {
    let query = std::str::from_utf8(query).ok()?;
    let mut head = Request::new(()).into_parts().0;
    head.method = http::Method::POST;
    head.uri = format!("/?{query}").parse().ok()?;
    head.headers.append(
        http::header::AUTHORIZATION,
        HeaderValue::from_bytes(authorization).ok()?,
    );
    for line in headers.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        head.headers
            .try_append(name, HeaderValue::from_bytes(&line[at + 1..]).ok()?)
            .ok()?;
    }
    Some(head)
}
