//! Property tests: what the AWS SDK's signer signs is accepted, and nothing that differs from it in one byte.

use http::{HeaderName, HeaderValue, Request, request};
use jiff::{SignedDuration, Timestamp};
use muster_gateway::sigv4::{Claim, Refused, Rules, SERVICE, Secret, SigningKey};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::signer::{AccessKey, sign};

/// 2026-01-01T12:00:00Z.
const NOW: Timestamp = Timestamp::constant(1_767_268_800, 0);

/// A request before it is signed.
#[derive(Debug, Clone)]
struct Plain {
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    key: AccessKey,
    seconds: i64,
}

impl Plain {
    fn at(&self) -> Timestamp {
        NOW + SignedDuration::from_secs(self.seconds)
    }

    /// The request with its signature.
    fn signed(&self) -> Request<Vec<u8>> {
        let target = format!("/{}", self.query);
        let mut headers = self.headers.clone();
        let url = format!("http://localhost{target}");
        headers.extend(sign(&self.key, self.at(), "POST", &url, &headers, &self.body));
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = target.parse().expect("a target");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            request.headers_mut().append(name, value.parse().expect("a value"));
        }
        request
    }
}

fn rules() -> Rules {
    Rules {
        regions: vec!["*".to_owned()],
        host_aliases: Vec::new(),
    }
}

/// Judges a request with the key that its owner has, whatever it says of itself.
fn judge(head: &request::Parts, body: &[u8], key: &AccessKey) -> Result<(), Refused> {
    let rules = rules();
    let claim = Claim::read(head, SERVICE, &rules, NOW)?;
    let secret = if claim.access_key() == key.id {
        key.secret.clone()
    } else {
        // Another key's, which cannot have made this signature.
        format!("not {}", key.secret)
    };
    if claim.session_token() != key.token.as_deref() {
        return Err(Refused::Unrecognized);
    }
    claim.prove(
        &SigningKey::derive(&Secret::new(secret), claim.day(), claim.region(), claim.service()),
        body,
        &rules,
    )
}

fn plain() -> impl Strategy<Value = Plain> {
    // One run of spaces and more, quotes, commas; never a blank at an end, which HTTP takes away.
    let value = "[!-~]([ -~]{0,20}[!-~])?";
    let part = "([A-Za-z0-9._~-]|%[2-7][0-9A-E]){0,6}";
    let query = prop_oneof![
        2 => Just(String::new()),
        1 => prop::collection::vec((part.prop_map(|part| format!("q{part}")), part), 1..4).prop_map(|parts| {
            let parts: Vec<String> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("?{}", parts.join("&"))
        }),
    ];
    let more = prop::collection::vec(("x-amz-[a-c]|x-[a-c]|accept", value), 0..5);
    let key = (
        "[A-Z0-9]{16,20}",
        "[!-~]{1,40}",
        prop::option::of("[!-~]{1,80}"),
        "[a-z]{2}-[a-z]{4,9}-[1-9]",
        any::<bool>(),
    );
    (query, more, "[A-Za-z]{1,20}", any::<Vec<u8>>(), key, -299_i64..=299).prop_map(
        |(query, more, operation, body, (id, secret, token, region, names_hash), seconds)| {
            let mut headers = vec![
                ("host".to_owned(), "gateway.example:8686".to_owned()),
                ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
                ("x-amz-target".to_owned(), format!("AmazonSSM.{operation}")),
            ];
            headers.extend(more);
            let key = AccessKey {
                token,
                region,
                names_hash,
                ..AccessKey::new(&id, &secret)
            };
            Plain {
                query,
                headers,
                body,
                key,
                seconds,
            }
        },
    )
}

/// Where a byte is changed.
#[derive(Debug, Clone, Copy)]
enum Place {
    Method,
    Query,
    HeaderName,
    HeaderValue,
    Body,
}

fn flipped(text: &[u8], at: &Index, with: u8) -> Option<Vec<u8>> {
    let mut text = text.to_vec();
    if text.is_empty() {
        return None;
    }
    let at = at.index(text.len());
    text[at] ^= with;
    Some(text)
}

/// The request with one byte changed; `None` if it is no request any more, or still means the same.
fn damage(request: &Request<Vec<u8>>, place: Place, which: &Index, at: &Index, with: u8) -> Option<Request<Vec<u8>>> {
    let mut damaged = request.clone();
    match place {
        Place::Method => {
            let method = flipped(request.method().as_str().as_bytes(), at, with)?;
            *damaged.method_mut() = http::Method::from_bytes(&method).ok()?;
        }
        Place::Query => {
            let query = flipped(request.uri().query()?.as_bytes(), at, with)?;
            let query = String::from_utf8(query).ok()?;
            *damaged.uri_mut() = format!("/?{query}").parse().ok()?;
            if means_the_same(request.uri().query()?, damaged.uri().query().unwrap_or_default()) {
                return None;
            }
        }
        Place::HeaderName | Place::HeaderValue => {
            let (number, (name, value)) = {
                let number = which.index(request.headers().len());
                (number, request.headers().iter().nth(number)?)
            };
            let changed = if matches!(place, Place::HeaderName) {
                let changed = HeaderName::from_bytes(&flipped(name.as_str().as_bytes(), at, with)?).ok()?;
                // HTTP does not tell upper case from lower case in names.
                (changed != name).then(|| (changed, value.clone()))?
            } else {
                let changed = HeaderValue::from_bytes(&flipped(value.as_bytes(), at, with)?).ok()?;
                (name.clone(), changed)
            };
            // Blanks between the parts of Authorization may be any.
            if name == "authorization" && request.headers()[name].as_bytes()[at.index(value.len())] == b' ' {
                return None;
            }
            if normal(changed.1.as_bytes()) == normal(value.as_bytes()) && changed.0 == name {
                return None;
            }
            let all: Vec<_> = request
                .headers()
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            damaged.headers_mut().clear();
            for (place, each) in all.into_iter().enumerate() {
                let (name, value) = if place == number { changed.clone() } else { each };
                damaged.headers_mut().append(name, value);
            }
        }
        Place::Body => *damaged.body_mut() = flipped(request.body(), at, with)?,
    }
    Some(damaged)
}

/// Whether two queries have the same parts once they are decoded.
fn means_the_same(one: &str, other: &str) -> bool {
    let parts = |query: &str| {
        let mut parts: Vec<_> = query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                (decoded(name), decoded(value))
            })
            .collect();
        parts.sort();
        parts
    };
    parts(one) == parts(other)
}

fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if *first == b'%' => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// A value as signatures see it.
fn normal(value: &[u8]) -> Vec<u8> {
    let mut value = value.trim_ascii().to_vec();
    value.dedup_by(|next, before| *next == b' ' && *before == b' ');
    value
}

proptest! {
    #[test]
    fn what_the_sdk_signs_is_accepted(plain in plain()) {
        let (head, body) = plain.signed().into_parts();
        prop_assert_eq!(judge(&head, &body, &plain.key), Ok(()));
    }

    #[test]
    fn with_one_byte_changed_it_is_refused(
        plain in plain(),
        place in prop::sample::select(vec![
            Place::Method, Place::Query, Place::HeaderName, Place::HeaderValue, Place::HeaderValue, Place::Body,
        ]),
        which in any::<Index>(),
        at in any::<Index>(),
        with in 1_u8..,
    ) {
        let request = plain.signed();
        let damaged = damage(&request, place, &which, &at, with);
        prop_assume!(damaged.is_some());
        let (head, body) = damaged.expect("assumed").into_parts();
        prop_assert!(judge(&head, &body, &plain.key).is_err());
    }

    #[test]
    fn with_any_byte_of_its_signature_changed_it_is_refused(plain in plain(), at in 0_usize..64, with in 1_u8..) {
        let mut request = plain.signed();
        let mut value = request.headers()["authorization"].as_bytes().to_vec();
        let end = value.len();
        value[end - 64 + at] ^= with;
        prop_assume!(HeaderValue::from_bytes(&value).is_ok());
        request.headers_mut().insert("authorization", HeaderValue::from_bytes(&value).expect("assumed"));
        let (head, body) = request.into_parts();
        prop_assert!(judge(&head, &body, &plain.key).is_err());
    }

    #[test]
    fn outside_of_the_window_it_is_refused(plain in plain(), seconds in 301_i64..100_000, early in any::<bool>()) {
        let seconds = if early { seconds } else { -seconds };
        let plain = Plain { seconds, ..plain };
        let (head, body) = plain.signed().into_parts();
        prop_assert!(matches!(judge(&head, &body, &plain.key), Err(Refused::Invalid(text)) if text.starts_with("Signature ")));
    }
}
