//! The text that is signed.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::{ALGORITHM, TERMINATOR};

/// Hex SHA-256.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What the canonical request is made of.
#[derive(Debug)]
pub(super) struct Canonical<'a> {
    pub(super) method: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    /// Sorted, in lower case.
    pub(super) signed: &'a [&'a str],
    /// As the request line or the header has it.
    pub(super) host: &'a str,
    /// Hex SHA-256 of the body.
    pub(super) body_hash: &'a str,
}

impl Canonical<'_> {
    /// The canonical request. Values of headers are bytes: HTTP does not say that they are text.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\n/\n{}\n", self.method, query(self.query.unwrap_or_default())).into_bytes();
        for name in self.signed {
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            if *name == "host" {
                append(&mut out, self.host.as_bytes());
            } else {
                for (number, value) in self.headers.get_all(*name).iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    append(&mut out, value.as_bytes());
                }
            }
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend_from_slice(self.signed.join(";").as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.body_hash.as_bytes());
        out
    }
}

/// The string to sign.
pub(super) fn to_sign(date: &str, (day, region, service): (&str, &str, &str), canonical: &[u8]) -> String {
    format!(
        "{ALGORITHM}\n{date}\n{day}/{region}/{service}/{TERMINATOR}\n{}",
        hash(canonical)
    )
}

/// A header's value without spaces around it, and with one for each run of them inside.
fn append(out: &mut Vec<u8>, value: &[u8]) {
    let value = value.trim_ascii();
    let mut after_space = false;
    for byte in value {
        let is_space = *byte == b' ';
        if !(is_space && after_space) {
            out.push(*byte);
        }
        after_space = is_space;
    }
}

/// The query with its parts decoded, encoded in the one way that signatures know, and sorted.
fn query(raw: &str) -> String {
    let mut parts: Vec<(String, String)> = raw
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (encode(&decode(name)), encode(&decode(value)))
        })
        .collect();
    parts.sort();
    let parts: Vec<String> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    parts.join("&")
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let byte = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).ok().map(|()| byte[0])
        });
        match byte {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(*byte)),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_sorted_and_encoded_in_one_way() {
        assert_eq!(query(""), "");
        assert_eq!(query("b=2&a=1&a=0&c"), "a=0&a=1&b=2&c=");
        assert_eq!(query("a=%41%2f%zz%4&b=x+y"), "a=A%2F%25zz%254&b=x%2By");
    }

    #[test]
    fn spaces_in_values_are_collapsed() {
        let check = |value: &str, expected: &str| {
            let mut out = Vec::new();
            append(&mut out, value.as_bytes());
            assert_eq!(out, expected.as_bytes());
        };
        check("  a   b  c ", "a b c");
        check("", "");
        check(" ", "");
        check("\"a  b\"", "\"a b\"");
    }
}
