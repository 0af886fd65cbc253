//! A request that names all it must, for here and now; what is left to check needs a key and the body.

use http::{HeaderMap, header, request};
use jiff::Timestamp;

use super::canonical::{self, Canonical};
use super::window::Signed;
use super::{Authorization, Refused, SigningKey, TERMINATOR};

/// The region that stands for all.
const EVERY_REGION: &str = "*";
/// The name that carries the hash of a body.
const CONTENT_HASH: &str = "x-amz-content-sha256";
/// The name that carries the token of a temporary key.
const TOKEN: &str = "x-amz-security-token";

/// What this gateway serves.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Regions that signatures may be for; `*` stands for all.
    pub regions: Vec<String>,
    /// Names under which callers know this gateway when something on the way changes `Host`.
    pub host_aliases: Vec<String>,
}

/// What a request says of itself. It is signed in form, for a region that is served, and not too old; whether the
/// signature is genuine, [`Claim::prove`] says.
#[derive(Debug)]
pub struct Claim<'a> {
    authorization: Authorization<'a>,
    signature: [u8; 32],
    signed: Vec<&'a str>,
    at: Signed,
    host: &'a str,
    token: Option<&'a str>,
    head: &'a request::Parts,
}

impl<'a> Claim<'a> {
    /// Judges all of a request to a service (`ssm`) that can be judged without a key.
    ///
    /// # Errors
    /// The [`Refused`] that aws-json-gateway 2 has for it.
    pub fn read(head: &'a request::Parts, service: &str, rules: &Rules, now: Timestamp) -> Result<Self, Refused> {
        let headers = &head.headers;
        let authorization = Authorization::of(headers, head.uri.query())?;
        let at = match single(headers, "x-amz-date")? {
            Some(date) => Signed::read(date, false)?,
            None => Signed::read(single(headers, header::DATE.as_str())?.unwrap_or_default(), true)?,
        };
        let token = single(headers, TOKEN)?;
        let host = match single(headers, header::HOST.as_str())? {
            Some(host) => host,
            // HTTP/2 has it in the request line.
            None => head.uri.authority().map_or("", http::uri::Authority::as_str),
        };
        if head.uri.path() != "/" {
            return Err(Refused::invalid("Requests are signed for the path '/'."));
        }
        scope(&authorization, service, at, rules)?;
        let signed = signed_headers(authorization.signed_headers, headers)?;
        at.check(now)?;
        Ok(Self {
            // What is no signature in form is none of this request.
            signature: signature(authorization.signature).ok_or(Refused::Mismatch)?,
            authorization,
            signed,
            at,
            host,
            token,
            head,
        })
    }

    /// Who it says is calling.
    #[must_use]
    pub fn access_key(&self) -> &'a str {
        self.authorization.credential.access_key
    }

    /// The day of its signing key, `20260101`.
    #[must_use]
    pub fn day(&self) -> &'a str {
        self.authorization.credential.day
    }

    /// The region of its signing key.
    #[must_use]
    pub fn region(&self) -> &'a str {
        self.authorization.credential.region
    }

    /// The service of its signing key.
    #[must_use]
    pub fn service(&self) -> &'a str {
        self.authorization.credential.service
    }

    /// The session token that comes with a temporary access key.
    #[must_use]
    pub fn session_token(&self) -> Option<&'a str> {
        self.token
    }

    /// Checks the signature over the request with its body.
    ///
    /// # Errors
    /// [`Refused::Mismatch`] if it is not this key's for this request, [`Refused::Invalid`] if the request names
    /// another hash of its body.
    pub fn prove(&self, key: &SigningKey, body: &[u8], rules: &Rules) -> Result<(), Refused> {
        let body_hash = canonical::hash(body);
        if self.names_another_hash(&body_hash) {
            return Err(Refused::invalid(
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ));
        }
        let scope = (self.day(), self.region(), self.service());
        let aliases = rules.host_aliases.iter().map(String::as_str);
        let is_genuine = std::iter::once(self.host).chain(aliases).any(|host| {
            let canonical = Canonical {
                method: self.head.method.as_str(),
                query: self.head.uri.query(),
                headers: &self.head.headers,
                signed: &self.signed,
                host,
                body_hash: &body_hash,
            };
            let text = canonical::to_sign(&self.at.text(), scope, &canonical.bytes());
            key.has_signed(text.as_bytes(), &self.signature)
        });
        if is_genuine { Ok(()) } else { Err(Refused::Mismatch) }
    }

    /// `UNSIGNED-PAYLOAD` is another one, too.
    fn names_another_hash(&self, body_hash: &str) -> bool {
        let mut named = self.head.headers.get_all(CONTENT_HASH).iter();
        named.any(|named| named.as_bytes() != body_hash.as_bytes())
    }
}

/// The value of a header that may stand there once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refused> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (values.next(), value.to_str()) {
        (None, Ok(text)) => Ok(Some(text.trim())),
        _ => Err(Refused::Incomplete(format!(
            "'{name}' must stand in the request once, as text."
        ))),
    }
}

fn scope(authorization: &Authorization<'_>, service: &str, at: Signed, rules: &Rules) -> Result<(), Refused> {
    let credential = &authorization.credential;
    if credential.day != at.day() {
        return Err(Refused::Invalid(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: {}, from {}.",
            at.day(),
            at.text()
        )));
    }
    let is_served = |region: &String| region == EVERY_REGION || region == credential.region;
    if credential.region.is_empty() || !rules.regions.iter().any(is_served) {
        return Err(Refused::invalid("Credential should be scoped to a valid region."));
    }
    if credential.service != service {
        return Err(Refused::Invalid(format!(
            "Credential should be scoped to correct service: '{service}'."
        )));
    }
    if credential.terminator != TERMINATOR {
        return Err(Refused::invalid(
            "Credential should be scoped with a valid terminator: 'aws4_request'.",
        ));
    }
    Ok(())
}

/// The names of the signed headers: in lower case, sorted, each once and in the request; among them `host` and all
/// that could change what a request means.
fn signed_headers<'a>(listed: &'a str, headers: &HeaderMap) -> Result<Vec<&'a str>, Refused> {
    let signed: Vec<&str> = listed.split(';').collect();
    let in_order = signed.is_sorted_by(|one, other| one < other);
    let is_lower = |name: &&str| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if !in_order || !signed.iter().all(is_lower) {
        return Err(Refused::invalid(
            "'SignedHeaders' must name each header once, in lower case, in alphabetical order.",
        ));
    }
    let unsigned =
        |name: &str| Refused::Invalid(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization."));
    if !signed.contains(&"host") {
        return Err(unsigned("host"));
    }
    for name in headers.keys().map(header::HeaderName::as_str) {
        if (name.starts_with("x-amz-") || name == "content-type") && !signed.contains(&name) {
            return Err(unsigned(name));
        }
    }
    if signed
        .iter()
        .any(|name| *name != "host" && !headers.contains_key(*name))
    {
        return Err(Refused::invalid(
            "'SignedHeaders' names a header that is not in the request.",
        ));
    }
    Ok(signed)
}

/// The bytes of 64 lower-case hex digits.
fn signature(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}
