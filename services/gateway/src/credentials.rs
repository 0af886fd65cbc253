//! Who says they are calling.
//!
//! This version reads the credentials and believes them; it does not verify the signature.
//! That is why the gateway listens on loopback addresses only, unless told otherwise.

use axum::http::{HeaderMap, header};
use muster_wire::{Failure, Reason, Refusal};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Longest access key id, in characters; AWS's have 20.
const LONGEST_KEY: usize = 128;

/// The access key id that a request is signed with.
///
/// # Errors
/// `MissingAuthenticationTokenException` if there is no signature at all, `IncompleteSignatureException` if it
/// cannot be read. No text repeats what the caller sent.
pub(crate) fn access_key(headers: &HeaderMap, query: Option<&str>) -> Result<String, Failure> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        if query.is_some_and(|query| query.contains("X-Amz-Algorithm=")) {
            return Err(incomplete("Requests that are signed in the query are not supported."));
        }
        let refusal = Refusal::new(
            Reason::MissingAuthenticationTokenException,
            "Missing Authentication Token",
        );
        return Err(refusal.into());
    };
    let authorization = authorization
        .to_str()
        .map_err(|_| incomplete("Authorization header is not readable."))?;
    let parts = authorization
        .trim()
        .strip_prefix(ALGORITHM)
        .ok_or_else(|| incomplete("Authorization header requires the algorithm AWS4-HMAC-SHA256."))?;
    let part = |name: &str| {
        parts
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .find(|(known, value)| *known == name && !value.is_empty())
            .map(|(_, value)| value)
    };
    let missing: Vec<String> = ["Credential", "SignedHeaders", "Signature"]
        .into_iter()
        .filter(|name| part(name).is_none())
        .map(|name| format!("Authorization header requires '{name}' parameter."))
        .collect();
    if !missing.is_empty() {
        return Err(incomplete(&missing.join(" ")));
    }
    if !headers.contains_key("x-amz-date") && !headers.contains_key(header::DATE) {
        return Err(incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        ));
    }
    let scope: Vec<&str> = part("Credential").unwrap_or_default().split('/').collect();
    match scope.as_slice() {
        [key, _, _, _, _] if (1..=LONGEST_KEY).contains(&key.len()) => Ok((*key).to_owned()),
        _ => Err(incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
        )),
    }
}

fn incomplete(text: &str) -> Failure {
    Refusal::new(Reason::IncompleteSignatureException, text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/ssm/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=00ff";

    fn read(authorization: Option<&str>, date: bool) -> Result<String, (Reason, String)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        if date {
            headers.insert("x-amz-date", "20260101T000000Z".parse().unwrap());
        }
        access_key(&headers, None).map_err(|failure| match failure {
            Failure::Refused(refusal) => (refusal.reason, refusal.message),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_key_is_read_from_the_credential() {
        assert_eq!(read(Some(GOOD), true), Ok("AKIDEXAMPLE".to_owned()));
        assert_eq!(read(Some(&GOOD.replace(", ", ",")), true), Ok("AKIDEXAMPLE".to_owned()));
    }

    #[test]
    fn no_signature_at_all_is_a_case_of_its_own() {
        let (reason, text) = read(None, true).unwrap_err();
        assert_eq!(reason, Reason::MissingAuthenticationTokenException);
        assert_eq!(text, "Missing Authentication Token");
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |authorization: &str, date: bool, named: &str| {
            let (reason, text) = read(Some(authorization), date).unwrap_err();
            assert_eq!(reason, Reason::IncompleteSignatureException);
            assert!(text.contains(named), "{text}");
            assert!(!text.contains("00ff"), "{text}");
        };
        check("Bearer 00ff", true, "AWS4-HMAC-SHA256");
        check("AWS4-HMAC-SHA256", true, "'Credential'");
        check(&GOOD.replace("Signature=00ff", "Signature="), true, "'Signature'");
        check(&GOOD.replace("SignedHeaders", "Signed"), true, "'SignedHeaders'");
        check(GOOD, false, "'X-Amz-Date'");
        check(&GOOD.replace("/ssm", ""), true, "5 slash-delimited");
        check(&GOOD.replace("AKIDEXAMPLE", ""), true, "5 slash-delimited");
    }
}
