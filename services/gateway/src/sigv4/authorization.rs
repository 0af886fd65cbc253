//! The parts of the header `Authorization`.

use http::{HeaderMap, header};

use super::{ALGORITHM, Refused};

/// Longest access key id, in characters; AWS's have 20.
const LONGEST_KEY: usize = 128;

/// A header `Authorization` with all its parts; nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// Who says they are calling, and for what.
    pub credential: Credential<'a>,
    /// Names of the headers that are signed, as they stand there.
    pub signed_headers: &'a str,
    /// The signature, as it stands there.
    pub signature: &'a str,
}

/// An access key id and the scope of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential<'a> {
    /// The access key id.
    pub access_key: &'a str,
    /// The day, `20260101`.
    pub day: &'a str,
    /// The region.
    pub region: &'a str,
    /// The service, which must be `ssm`.
    pub service: &'a str,
    /// What must be `aws4_request`.
    pub terminator: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads the signature of a request.
    ///
    /// # Errors
    /// [`Refused::Missing`] if there is none, [`Refused::Incomplete`] if it cannot be read, lacks a part or a date, or
    /// stands in the query (the presigned form, which is not supported).
    pub fn of(headers: &'a HeaderMap, query: Option<&str>) -> Result<Self, Refused> {
        if query.is_some_and(is_presigned) {
            return Err(Refused::incomplete(
                "Requests that are signed in the query (presigned) are not supported: sign with the Authorization header.",
            ));
        }
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(Refused::Missing)?;
        if values.next().is_some() {
            return Err(Refused::incomplete(
                "Authorization header must stand in the request once.",
            ));
        }
        let value = value
            .to_str()
            .map_err(|_| Refused::incomplete("Authorization header is not readable."))?;
        let authorization = Self::read(value)?;
        if !headers.contains_key("x-amz-date") && !headers.contains_key(header::DATE) {
            return Err(Refused::incomplete(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
            ));
        }
        Ok(authorization)
    }

    /// Reads the value of the header.
    ///
    /// # Errors
    /// [`Refused::Incomplete`], which names what is missing.
    pub fn read(value: &'a str) -> Result<Self, Refused> {
        let (algorithm, rest) = value.trim().split_once([' ', '\t']).unwrap_or((value.trim(), ""));
        if algorithm != ALGORITHM {
            return Err(Refused::incomplete(
                "Authorization header requires the algorithm AWS4-HMAC-SHA256.",
            ));
        }
        let names = ["Credential", "SignedHeaders", "Signature"];
        let mut parts = [None; 3];
        for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let known = part.split_once('=').and_then(|(name, value)| {
                let place = names.iter().position(|known| *known == name)?;
                Some((place, value))
            });
            let Some((place, value)) = known else {
                return Err(Refused::incomplete(
                    "Authorization header takes the parameters 'Credential', 'SignedHeaders' and 'Signature' only.",
                ));
            };
            if parts[place].replace(value).is_some() {
                return Err(Refused::Incomplete(format!(
                    "Authorization header takes one '{}' parameter.",
                    names[place]
                )));
            }
        }
        let missing: Vec<String> = names
            .iter()
            .zip(parts)
            .filter(|(_, value)| value.is_none_or(str::is_empty))
            .map(|(name, _)| format!("Authorization header requires '{name}' parameter."))
            .collect();
        let [Some(credential), Some(signed_headers), Some(signature)] = parts else {
            return Err(Refused::Incomplete(missing.join(" ")));
        };
        if !missing.is_empty() {
            return Err(Refused::Incomplete(missing.join(" ")));
        }
        Ok(Self {
            credential: Credential::read(credential)?,
            signed_headers,
            signature,
        })
    }
}

impl<'a> Credential<'a> {
    fn read(text: &'a str) -> Result<Self, Refused> {
        let mut parts = text.split('/');
        let mut next = || parts.next().unwrap_or_default();
        let credential = Self {
            access_key: next(),
            day: next(),
            region: next(),
            service: next(),
            terminator: next(),
        };
        let key_fits = (1..=LONGEST_KEY).contains(&credential.access_key.len());
        if text.split('/').count() == 5 && key_fits {
            Ok(credential)
        } else {
            Err(Refused::incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
            ))
        }
    }
}

fn is_presigned(query: &str) -> bool {
    query
        .split('&')
        .map(|part| part.split_once('=').map_or(part, |(name, _)| name))
        .any(|name| name.eq_ignore_ascii_case("X-Amz-Algorithm") || name.eq_ignore_ascii_case("X-Amz-Signature"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/ssm/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=00ff";

    fn of(authorization: &[&str], date: bool, query: Option<&str>) -> Result<String, Refused> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        if date {
            headers.insert("x-amz-date", "20260101T000000Z".parse().unwrap());
        }
        Authorization::of(&headers, query).map(|read| read.credential.access_key.to_owned())
    }

    #[test]
    fn all_parts_are_read() {
        for text in [GOOD.to_owned(), GOOD.replace(", ", ","), GOOD.replace(", ", " ,  ")] {
            let read = Authorization::read(&text).unwrap();
            assert_eq!(read.signed_headers, "content-type;host;x-amz-date;x-amz-target");
            assert_eq!(read.signature, "00ff");
            let Credential {
                access_key,
                day,
                region,
                service,
                terminator,
            } = read.credential;
            assert_eq!(
                (access_key, day, region, service, terminator),
                ("AKIDEXAMPLE", "20260101", "eu-west-1", "ssm", "aws4_request")
            );
        }
    }

    #[test]
    fn no_signature_at_all_is_a_case_of_its_own() {
        assert_eq!(of(&[], true, None), Err(Refused::Missing));
        assert_eq!(of(&[], true, Some("a=X-Amz-Algorithm")), Err(Refused::Missing));
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |authorization: &[&str], date: bool, named: &str| {
            let refused = of(authorization, date, None).unwrap_err();
            assert!(matches!(refused, Refused::Incomplete(_)), "{refused:?}");
            assert!(refused.to_string().contains(named), "{refused}");
            assert!(!refused.to_string().contains("00ff"), "{refused}");
        };
        check(&["Bearer 00ff"], true, "AWS4-HMAC-SHA256");
        check(&["AWS4-HMAC-SHA256"], true, "'Credential'");
        check(&["AWS4-HMAC-SHA256 "], true, "'SignedHeaders'");
        check(&[&GOOD.replace("Signature=00ff", "Signature=")], true, "'Signature'");
        check(&[&GOOD.replace(", SignedHeaders", ", Signed")], true, "'SignedHeaders'");
        check(&[&format!("{GOOD}, Signature=00ff")], true, "one 'Signature'");
        check(&[GOOD, GOOD], true, "once");
        check(&[GOOD], false, "'X-Amz-Date'");
        check(&[&GOOD.replace("/ssm", "")], true, "5 slash-delimited");
        check(&[&GOOD.replace("/ssm", "/ssm/ssm")], true, "5 slash-delimited");
        check(&[&GOOD.replace("AKIDEXAMPLE", "")], true, "5 slash-delimited");
        check(
            &[&GOOD.replace("AKIDEXAMPLE", &"A".repeat(129))],
            true,
            "5 slash-delimited",
        );
    }

    #[test]
    fn the_presigned_form_is_refused_by_name() {
        for authorization in [&[][..], &[GOOD][..]] {
            let refused = of(authorization, true, Some("a=b&X-Amz-Algorithm=AWS4-HMAC-SHA256")).unwrap_err();
            assert!(matches!(refused, Refused::Incomplete(_)));
            assert!(refused.to_string().contains("presigned"), "{refused}");
        }
    }
}
